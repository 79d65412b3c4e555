//! The entry `greedy`: steps that choose their own next token, any number of them without the host between.

use super::session::{POSITION, TOKENS};
use crate::compile::GREEDY;
use crate::error::CliError;
use crate::generate_error::{GenerateError, LogitsFault};
use drift_runtime::{DeviceElement, Session, StateTensor};

/// The state of what was chosen, as the importer calls it. Token and position are called as other entries' inputs are.
const CHOSEN: &str = "chosen";

/// The entry, loaded with the others.
pub(super) struct Greedy {
    session: Session,
    /// The token and the position that its states hold, where these are known.
    next: Option<(u32, usize)>,
}

impl Greedy {
    /// Takes a session whose states are those of such an entry, over caches of `capacity` tokens.
    pub(super) fn new(session: Session, capacity: usize) -> Result<Self, GenerateError> {
        let states = session.states();
        let has = |name: &str, elements: usize| {
            let size = |state: &StateTensor| state.shape.iter().product::<u64>() as usize;
            states.iter().any(|state| {
                state.name == name && state.element == DeviceElement::I32 && size(state) == elements
            })
        };
        match [(TOKENS, 1), (POSITION, 1), (CHOSEN, capacity)]
            .into_iter()
            .find(|&(name, size)| !has(name, size))
        {
            Some((name, size)) => {
                let reason = format!("it has no state `{name}` of {size} i32; compile it with --greedy");
                Err(GenerateError::Entry { entry: GREEDY, reason })
            }
            None => Ok(Self { session, next: None }),
        }
    }

    /// Runs `token` behind `position` others, then what is chosen behind it, and so on: `count` runs, which the caches have room
    /// for. Returns what each of them chose, up to one whose logits are of no use; an error where that is the first.
    pub(super) fn run(&mut self, token: u32, position: usize, count: usize) -> Result<Vec<u32>, CliError> {
        if self.next.take() != Some((token, position)) {
            self.set(TOKENS, token as i32)?;
            self.set(POSITION, position as i32)?;
        }
        // A cache has at most 2^24 rows.
        self.session.run_times(count as u32)?;
        let bytes = self.session.read_state(CHOSEN)?;
        let all = bytes.as_chunks::<4>().0.iter().map(|word| i32::from_le_bytes(*word));
        // What comes before a step that chose nothing may be all that is wanted.
        let sound = all.skip(position).take(count).map_while(|id| u32::try_from(id).ok());
        let chosen: Vec<u32> = sound.collect();
        if chosen.is_empty() {
            return Err(
                GenerateError::Logits { position: position + 1, fault: LogitsFault::Unordered }.into()
            );
        }
        self.next = chosen.last().filter(|_| chosen.len() == count).map(|&last| (last, position + count));
        Ok(chosen)
    }

    /// Sets a state of one number.
    fn set(&mut self, name: &str, number: i32) -> Result<(), CliError> {
        let found = self.session.states().iter().find(|state| state.name == name);
        let mut bytes = vec![0; found.map_or(0, |state| state.bytes as usize)];
        if let Some(first) = bytes.first_chunk_mut() {
            *first = number.to_le_bytes();
        }
        Ok(self.session.write_state(name, &bytes)?)
    }
}
