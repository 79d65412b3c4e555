//! Text to tokens and back, by the `tokenizer.json` of a model.

use crate::error::CliError;
use crate::generate_error::GenerateError;
use crate::{crash, files};
use std::path::Path;
use tokenizers::{PaddingParams, Tokenizer, TruncationParams};

/// The tokenizer of a model.
pub(crate) struct TextTokenizer {
    tokenizer: Tokenizer,
    /// Logits of the model.
    vocabulary: usize,
}

impl TextTokenizer {
    /// Reads the tokenizer in a model's folder, and refuses that of a model with more tokens than this one.
    pub(crate) fn open(folder: &Path, vocabulary: usize) -> Result<Self, CliError> {
        let path = folder.join("tokenizer.json");
        let tokenizer = Self::read(&path)?;
        // Added tokens may be beyond: Gemma 3's has one for images, which its text models have no row for.
        let largest = tokenizer.get_vocab(false).into_values().max().unwrap_or(0);
        if largest as usize >= vocabulary {
            return Err(GenerateError::OtherTokenizer { path, largest, vocabulary }.into());
        }
        Ok(Self { tokenizer, vocabulary })
    }

    fn read(path: &Path) -> Result<Tokenizer, CliError> {
        let bytes = files::read(path)?;
        let refused = |reason: String| GenerateError::File { path: path.to_owned(), reason };
        // The library panics at some files that are no tokenizers.
        let read = crash::caught(|| Tokenizer::from_bytes(&bytes)).map_err(refused)?;
        let mut tokenizer = read.map_err(|error| refused(error.to_string()))?;
        // Settings of a training run, which would cut prompts or fill them up.
        tokenizer
            .with_truncation(None::<TruncationParams>)
            .map_err(|error| refused(error.to_string()))?
            .with_padding(None::<PaddingParams>);
        Ok(tokenizer)
    }

    /// The tokens of a text: with those that the model wants around a whole text, or as it is.
    pub(crate) fn encode(&self, text: &str, with_special: bool) -> Result<Vec<u32>, CliError> {
        let refused = |reason| GenerateError::Tokenizer { what: "read the text", reason };
        let encoded = crash::caught(|| self.tokenizer.encode_fast(text, with_special)).map_err(refused)?;
        let encoded = encoded.map_err(|error| refused(error.to_string()))?;
        let ids = encoded.get_ids().to_vec();
        match ids.iter().find(|id| **id as usize >= self.vocabulary) {
            Some(&id) => {
                let what = format!("`{}` in the text", self.token(id));
                Err(GenerateError::TokenRange { what, id: id.into(), vocabulary: self.vocabulary }.into())
            }
            None => Ok(ids),
        }
    }

    /// The text of tokens, without special ones.
    pub(crate) fn decode(&self, ids: &[u32]) -> Result<String, CliError> {
        let refused = |reason| GenerateError::Tokenizer { what: "write the tokens", reason };
        let decoded = crash::caught(|| self.tokenizer.decode(ids, true)).map_err(refused)?;
        Ok(decoded.map_err(|error| refused(error.to_string()))?)
    }

    /// A token as the vocabulary writes it.
    pub(crate) fn token(&self, id: u32) -> String {
        self.tokenizer.id_to_token(id).unwrap_or_else(|| format!("token {id}"))
    }

    /// The id of a token as the vocabulary writes it.
    #[cfg(test)]
    pub(crate) fn id(&self, token: &str) -> u32 {
        self.tokenizer.token_to_id(token).expect("a token of the vocabulary")
    }

    /// The id of a token that stands for something else than its own text.
    pub(crate) fn special_id(&self, token: &str) -> Option<u32> {
        let id = self.tokenizer.token_to_id(token)?;
        let added = self.tokenizer.get_added_tokens_decoder();
        added.get(&id).filter(|added| added.special).map(|_| id)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{cases, folder, tokenizer};
    use super::*;

    #[test]
    fn tokens_are_those_of_the_python_package() {
        for name in ["chatml", "llama", "spaces"] {
            let tokenizer = tokenizer(name);
            for case in cases(name)["encode"].as_array().unwrap() {
                let (text, special) = (case["text"].as_str().unwrap(), case["special"].as_bool().unwrap());
                let ids: Vec<u32> = serde_json::from_value(case["ids"].clone()).unwrap();
                assert_eq!(tokenizer.encode(text, special).unwrap(), ids, "{name}: {text:?}");
                assert_eq!(tokenizer.decode(&ids).unwrap(), case["decoded"].as_str().unwrap(), "{name}");
            }
        }
    }

    #[test]
    fn the_tokenizer_of_another_model_is_refused() {
        let message = |vocabulary| match TextTokenizer::open(&folder("llama"), vocabulary) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        };
        assert!(message(419).contains("tokens up to id 419, but the bundle's model only ids below 419"));
        assert!(message(419).ends_with("it is the tokenizer of another model"));
        // The ids of its special tokens go up to 424: such a model has the words, but not the tokens of a chat.
        assert_eq!(message(420), "");
        let narrow = TextTokenizer::open(&folder("llama"), 420).unwrap();
        let error = narrow.encode("<|eot_id|>", false).unwrap_err().to_string();
        assert_eq!(
            error,
            "`<|eot_id|>` in the text is token 424, but the bundle's model only has ids below 420"
        );
    }

    #[test]
    fn files_that_are_no_tokenizers_are_refused_by_name() {
        let place = tempfile::tempdir().unwrap();
        let message = |content: &str| {
            std::fs::write(place.path().join("tokenizer.json"), content).unwrap();
            TextTokenizer::open(place.path(), 10).err().unwrap().to_string()
        };
        let whole = std::fs::read_to_string(folder("spaces").join("tokenizer.json")).unwrap();
        for content in ["", "{}", "[]", "{\"model\": {\"type\": \"BPE\"}}", &whole[..whole.len() / 2]] {
            assert!(message(content).contains("tokenizer.json cannot be used"), "{}", message(content));
        }
        std::fs::remove_file(place.path().join("tokenizer.json")).unwrap();
        let missing = TextTokenizer::open(place.path(), 10).err().unwrap().to_string();
        assert!(missing.starts_with("cannot read ") && missing.ends_with("tokenizer.json"), "{missing}");
    }

    #[test]
    fn a_tokenizer_that_contradicts_itself_stops_nothing() {
        let place = tempfile::tempdir().unwrap();
        let whole = std::fs::read_to_string(folder("spaces").join("tokenizer.json")).unwrap();
        let unknown = "\"single\":[{\"SpecialToken\":{\"id\":\"<none>\",\"type_id\":0}},";
        let changed = whole.replacen("\"single\":[", unknown, 1);
        assert_ne!(whole, changed);
        std::fs::write(place.path().join("tokenizer.json"), changed).unwrap();
        let error = TextTokenizer::open(place.path(), 512).and_then(|tokenizer| tokenizer.encode("a", true));
        let error = error.unwrap_err();
        assert!(matches!(error, CliError::Generate(_)), "{error:?}");
    }

    #[test]
    fn settings_of_training_cut_no_prompt() {
        let place = tempfile::tempdir().unwrap();
        let whole = std::fs::read_to_string(folder("chatml").join("tokenizer.json")).unwrap();
        let cut = "\"truncation\":{\"direction\":\"Right\",\"max_length\":2,\"strategy\":\"LongestFirst\",\"stride\":0}";
        let changed = whole.replacen("\"truncation\":null", cut, 1);
        assert_ne!(whole, changed);
        std::fs::write(place.path().join("tokenizer.json"), changed).unwrap();
        let tokenizer = TextTokenizer::open(place.path(), 416).unwrap();
        assert!(tokenizer.encode("several words of a prompt", false).unwrap().len() > 5);
    }

    #[test]
    fn only_special_tokens_stand_for_something_else() {
        let tokenizer = tokenizer("chatml");
        assert_eq!(tokenizer.special_id("<|im_end|>"), Some(402));
        assert_eq!(tokenizer.special_id("a"), None);
        assert_eq!(tokenizer.special_id("no token"), None);
        assert_eq!(tokenizer.token(402), "<|im_end|>");
    }
}
