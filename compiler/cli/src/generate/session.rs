//! A bundle's language model on a device: the entries `prefill` and `decode` over caches that they share.

use super::greedy::Greedy;
use super::model::LanguageModel;
use crate::error::CliError;
use crate::generate_error::GenerateError;
use drift_bundle::manifest::{HostElement, IoTensor};
use drift_runtime::Session;
use half::f16;

/// Inputs and outputs that entries have, as `driftc` makes them of an exported model.
pub(super) const TOKENS: &str = "input_ids";
pub(super) const POSITION: &str = "position";
const COUNT: &str = "count";
const LOGITS: &str = "logits";

/// One entry.
struct Stage {
    session: Session,
    /// Tokens of a run.
    tokens: usize,
    /// Element of the tokens.
    element: HostElement,
    /// Whether it is told how many of them count.
    has_count: bool,
    /// Rows of logits that it gives.
    rows: usize,
}

/// The model, and how many tokens its caches hold.
pub(super) struct Replayed {
    prefill: Stage,
    decode: Stage,
    greedy: Option<Greedy>,
    capacity: usize,
    vocabulary: usize,
    position: usize,
}

impl Stage {
    fn new(entry: &'static str, session: Session) -> Result<(Self, usize), GenerateError> {
        let fault = |reason: String| GenerateError::Entry { entry, reason };
        let find = |list: &[IoTensor], what: &str, name: &str| {
            let found = list.iter().find(|tensor| tensor.name == name).cloned();
            found.ok_or_else(|| fault(format!("it has no {what} `{name}`")))
        };
        let ids = find(session.inputs(), "input", TOKENS)?;
        let position = find(session.inputs(), "input", POSITION)?;
        let has_count = session.inputs().iter().any(|input| input.name == COUNT);
        let known = |input: &&IoTensor| ![TOKENS, POSITION, COUNT].contains(&input.name.as_str());
        if let Some(other) = session.inputs().iter().find(known) {
            let name = &other.name;
            return Err(fault(format!(
                "its input `{name}` is not known here; make it a constant with --bind"
            )));
        }
        let is_count = |tensor: &IoTensor| tensor.element == HostElement::I32 && tensor.elements() == Some(1);
        let counts = session.inputs().iter().filter(|input| [POSITION, COUNT].contains(&input.name.as_str()));
        if !is_count(&position) || !counts.into_iter().all(is_count) {
            return Err(fault("`position` and `count` are not one i32 each".to_owned()));
        }
        let tokens = match (ids.element, ids.shape.as_slice()) {
            (HostElement::I64 | HostElement::I32, &[1, tokens]) if tokens > 0 => tokens as usize,
            (element, shape) => {
                return Err(fault(format!(
                    "`{TOKENS}` is {element:?} {shape:?}, expected integers [1, tokens]"
                )));
            }
        };
        let logits = find(session.outputs(), "output", LOGITS)?;
        let (rows, vocabulary) = match (logits.element, logits.shape.as_slice()) {
            (HostElement::F32 | HostElement::F16, &[1, rows, vocabulary])
                if vocabulary > 0 && (rows as usize == tokens || rows == 1 && has_count) =>
            {
                (rows as usize, vocabulary as usize)
            }
            (element, shape) => {
                return Err(fault(format!(
                    "`{LOGITS}` is {element:?} {shape:?}, expected floats [1, tokens, ids]"
                )));
            }
        };
        Ok((Self { session, tokens, element: ids.element, has_count, rows }, vocabulary))
    }

    /// Runs tokens behind `position` others; gives the logits of the last.
    fn run(&mut self, tokens: &[u32], position: usize, vocabulary: usize) -> Result<Vec<f32>, CliError> {
        let mut logits = self.run_all(tokens, position)?;
        let row = if self.rows == 1 { 0 } else { tokens.len() - 1 };
        logits.truncate((row + 1) * vocabulary);
        Ok(logits.split_off(row * vocabulary))
    }

    /// The same; gives all logits, of padding too.
    fn run_all(&mut self, tokens: &[u32], position: usize) -> Result<Vec<f32>, CliError> {
        let padded = tokens.iter().copied().chain(std::iter::repeat(0)).take(self.tokens);
        match self.element {
            HostElement::I64 => {
                let ids: Vec<i64> = padded.map(i64::from).collect();
                self.session.write(TOKENS, &ids)?;
            }
            _ => {
                // Ids are below the number of logits, which a tensor has.
                let ids: Vec<i32> = padded.map(|id| id as i32).collect();
                self.session.write(TOKENS, &ids)?;
            }
        }
        self.session.write(POSITION, &[position as i32])?;
        if self.has_count {
            self.session.write(COUNT, &[tokens.len() as i32])?;
        }
        self.session.run()?;
        let is_half =
            self.session.outputs().iter().any(|out| out.name == LOGITS && out.element == HostElement::F16);
        Ok(match is_half {
            true => self.session.read::<f16>(LOGITS)?.into_iter().map(f16::to_f32).collect(),
            false => self.session.read(LOGITS)?,
        })
    }
}

impl Replayed {
    /// Takes the sessions of the entries, which were loaded together; that of `greedy` where the bundle has it.
    pub(super) fn new(
        (prefill, decode): (Session, Session),
        greedy: Option<Session>,
    ) -> Result<Self, GenerateError> {
        let capacity = capacity(&decode)?;
        if capacity != self::capacity(&prefill)? {
            let reason = "its caches have another length than those of `prefill`".to_owned();
            return Err(GenerateError::Entry { entry: "decode", reason });
        }
        let (prefill, vocabulary) = Stage::new("prefill", prefill)?;
        let (decode, own) = Stage::new("decode", decode)?;
        if decode.tokens != 1 || own != vocabulary {
            let reason = format!(
                "it takes {} tokens and gives {own} logits, expected 1 and {vocabulary}, as `prefill` gives",
                decode.tokens
            );
            return Err(GenerateError::Entry { entry: "decode", reason });
        }
        let greedy = greedy.map(|session| Greedy::new(session, capacity)).transpose()?;
        Ok(Self { prefill, decode, greedy, capacity, vocabulary, position: 0 })
    }
}

/// Rows of an entry's caches.
fn capacity(session: &Session) -> Result<usize, GenerateError> {
    let rows = session.states().iter().filter_map(|state| match state.shape.as_slice() {
        &[1, _, rows, _] => Some(rows),
        _ => None,
    });
    rows.min().and_then(|rows| usize::try_from(rows).ok()).ok_or(GenerateError::Stateless)
}

impl LanguageModel for Replayed {
    fn capacity(&self) -> usize {
        self.capacity
    }

    fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    fn position(&self) -> usize {
        self.position
    }

    /// Rows behind the position are not read, and are written over.
    fn truncate(&mut self, length: usize) -> Result<(), CliError> {
        self.position = self.position.min(length);
        Ok(())
    }

    fn feed(&mut self, tokens: &[u32]) -> Result<Vec<f32>, CliError> {
        let mut rest = tokens;
        loop {
            let stage = if rest.len() > 1 { &mut self.prefill } else { &mut self.decode };
            let (now, later) = rest.split_at(rest.len().min(stage.tokens));
            let logits = stage.run(now, self.position, self.vocabulary)?;
            self.position += now.len();
            rest = later;
            if rest.is_empty() {
                return Ok(logits);
            }
        }
    }

    /// Through `prefill` where it gives logits of all tokens.
    fn feed_each(&mut self, tokens: &[u32]) -> Result<Vec<Vec<f32>>, CliError> {
        if self.prefill.rows == 1 || tokens.len() == 1 {
            return tokens.iter().map(|token| self.feed(&[*token])).collect();
        }
        let mut rows = Vec::new();
        for chunk in tokens.chunks(self.prefill.tokens) {
            let logits = self.prefill.run_all(chunk, self.position)?;
            self.position += chunk.len();
            rows.extend(logits.chunks_exact(self.vocabulary).take(chunk.len()).map(<[f32]>::to_vec));
        }
        Ok(rows)
    }

    fn feed_greedy(&mut self, token: u32, count: usize) -> Result<Option<Vec<u32>>, CliError> {
        let Some(greedy) = &mut self.greedy else { return Ok(None) };
        let chosen = greedy.run(token, self.position, count.min(self.capacity - self.position))?;
        self.position += chosen.len();
        Ok(Some(chosen))
    }
}
