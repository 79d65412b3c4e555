//! Prompts: CLIP's tokens, and what the text encoder makes of them.

use crate::guidance;
use anyhow::{Context, Result, bail};
use drift_bundle::manifest::HostElement;
use drift_runtime::Session;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// Tokens of CLIP's vocabulary, its two marks included.
const VOCABULARY: u16 = 49408;

/// CLIP's byte-pair encoding.
pub(crate) struct Tokenizer(instant_clip_tokenizer::Tokenizer);

impl Tokenizer {
    /// With the merges of a `merges.txt`, or those of CLIP.
    pub(crate) fn new(merges: Option<&Path>) -> Result<Self> {
        let Some(path) = merges else { return Ok(Self(instant_clip_tokenizer::Tokenizer::new())) };
        let read = || {
            let file = BufReader::new(File::open(path)?);
            instant_clip_tokenizer::Tokenizer::with_vocabulary(file, VOCABULARY)
        };
        read().map(Self).with_context(|| format!("cannot read {}", path.display()))
    }

    /// The start mark, the prompt's tokens, and end marks up to `length`. What does not fit is cut off.
    pub(crate) fn encode(&self, prompt: &str, length: usize) -> Vec<i64> {
        let (start, end) = (self.0.start_of_text(), self.0.end_of_text());
        let mut tokens = vec![start];
        self.0.encode(prompt, &mut tokens);
        tokens.truncate(length.saturating_sub(1));
        tokens.resize(length, end);
        tokens.into_iter().map(|token| i64::from(token.to_u16())).collect()
    }
}

/// The last hidden states of a prompt.
pub(crate) fn embed(encoder: &mut Session, tokens: &[i64]) -> Result<Vec<f32>> {
    let ids = guidance::named(encoder.inputs(), "input_ids")?;
    match ids.element {
        HostElement::I64 => encoder.write("input_ids", tokens)?,
        HostElement::I32 => {
            encoder.write("input_ids", &tokens.iter().map(|&t| t as i32).collect::<Vec<_>>())?;
        }
        element => bail!("`input_ids` is {element:?}, expected integers"),
    }
    encoder.run()?;
    // The pooled output is a matrix, the hidden states have an axis for tokens.
    let hidden = encoder.outputs().iter().find(|output| output.shape.len() == 3).cloned();
    guidance::read(encoder, &hidden.context("the text encoder gives no hidden states")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_framed_filled_and_cut() {
        let tokenizer = Tokenizer::new(None).unwrap();
        // Ids of CLIP's published vocabulary.
        assert_eq!(tokenizer.encode("Hi there", 6), [49406, 1883, 997, 49407, 49407, 49407]);
        assert_eq!(tokenizer.encode("", 3), [49406, 49407, 49407]);
        assert_eq!(tokenizer.encode("hi there", 3), [49406, 1883, 49407]);
        assert_eq!(tokenizer.encode(&"a cat ".repeat(50), 77).len(), 77);
    }

    #[test]
    fn merges_that_are_not_there_are_named() {
        let error = Tokenizer::new(Some(Path::new("nowhere.txt"))).err().unwrap();
        assert!(error.to_string().contains("nowhere.txt"));
    }
}
