//! What the files beside an exported model say of its text: where it ends, how it is drawn, how a chat is written.

use super::sampling::Sampling;
use crate::error::CliError;
use crate::files;
use crate::generate_error::GenerateError;
use crate::sampling_ranges::{is_allowed, range};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A file of settings.
struct Settings {
    path: PathBuf,
    /// `null` where there is no such file.
    json: Value,
}

/// The folder of an exported model.
pub(crate) struct Folder {
    path: PathBuf,
    generation: Settings,
    genai: Settings,
    config: Settings,
    tokenizer: Settings,
}

/// What a folder says of sampling; `None` where it says nothing.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Defaults {
    pub(crate) is_sampled: Option<bool>,
    pub(crate) temperature: Option<f64>,
    pub(crate) top_k: Option<f64>,
    pub(crate) top_p: Option<f64>,
    pub(crate) min_p: Option<f64>,
    pub(crate) repetition_penalty: Option<f64>,
    pub(crate) max_tokens: Option<f64>,
}

impl Folder {
    pub(crate) fn open(path: &Path) -> Result<Self, CliError> {
        if !path.is_dir() {
            let reason = "it is no folder; give the one that the model was exported to".to_owned();
            return Err(GenerateError::File { path: path.to_owned(), reason }.into());
        }
        let settings = |name: &str| Settings::read(path.join(name));
        Ok(Self {
            path: path.to_owned(),
            generation: settings("generation_config.json")?,
            genai: settings("genai_config.json")?,
            config: settings("config.json")?,
            tokenizer: settings("tokenizer_config.json")?,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Tokens that end a text.
    pub(crate) fn stop_ids(&self, vocabulary: usize) -> Result<BTreeSet<u32>, CliError> {
        let text = &self.config.json["text_config"];
        let places = [
            (&self.generation, &self.generation.json["eos_token_id"]),
            (&self.genai, &self.genai.json["model"]["eos_token_id"]),
            (&self.config, &self.config.json["eos_token_id"]),
            // Where a model is more than its text.
            (&self.config, &text["eos_token_id"]),
        ];
        let mut ids = BTreeSet::new();
        for (settings, value) in places {
            for value in value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice) {
                ids.extend(settings.stop_id(value, vocabulary)?);
            }
        }
        Ok(ids)
    }

    /// How text is drawn where no flag says otherwise: `generation_config.json` first, then `genai_config.json`.
    pub(crate) fn defaults(&self) -> Result<Defaults, CliError> {
        let (first, second) = (&self.generation.json, &self.genai.json["search"]);
        let number = |key: &str| match self.generation.number(&first[key], key)? {
            None => self.genai.number(&second[key], key),
            found => Ok(found),
        };
        Ok(Defaults {
            is_sampled: first["do_sample"].as_bool().or(second["do_sample"].as_bool()),
            temperature: number("temperature")?,
            top_k: number("top_k")?,
            top_p: number("top_p")?,
            min_p: number("min_p")?,
            repetition_penalty: number("repetition_penalty")?,
            max_tokens: number("max_new_tokens")?,
        })
    }

    /// The chat template and the file that it stands in.
    pub(crate) fn template(&self) -> Result<(PathBuf, String), CliError> {
        let path = self.path.join("chat_template.jinja");
        if path.exists() {
            let text = String::from_utf8(files::read(&path)?);
            return match text {
                Ok(text) => Ok((path, text)),
                Err(_) => Err(GenerateError::File { path, reason: "it is not UTF-8".to_owned() }.into()),
            };
        }
        let named = |value: &Value, name| value["name"] == name;
        let found = match &self.tokenizer.json["chat_template"] {
            // With a template for each use.
            Value::Array(templates) => templates
                .iter()
                .find(|template| named(template, "default"))
                .and_then(|template| template["template"].as_str()),
            template => template.as_str(),
        };
        match found {
            Some(template) => Ok((self.tokenizer.path.clone(), template.to_owned())),
            None => Err(GenerateError::NoTemplate(self.path.clone()).into()),
        }
    }

    /// Special tokens by the names that templates know them by, such as `bos_token`.
    pub(crate) fn special_tokens(&self) -> Vec<(String, String)> {
        let entries = self.tokenizer.json.as_object().into_iter().flatten();
        let tokens = entries.filter(|(name, _)| name.ends_with("_token")).filter_map(|(name, value)| {
            // A token with its properties is an object.
            let token = value.as_str().or(value["content"].as_str())?;
            Some((name.clone(), token.to_owned()))
        });
        tokens.collect()
    }
}

impl Settings {
    fn read(path: PathBuf) -> Result<Self, CliError> {
        if !path.exists() {
            return Ok(Self { path, json: Value::Null });
        }
        match serde_json::from_slice(&files::read(&path)?) {
            Ok(json @ Value::Object(_)) => Ok(Self { path, json }),
            Ok(_) => Err(Self::refusal(path, "it is no JSON object".to_owned())),
            Err(error) => Err(Self::refusal(path, error.to_string())),
        }
    }

    fn refusal(path: PathBuf, reason: String) -> CliError {
        GenerateError::File { path, reason }.into()
    }

    /// One token that ends a text, if the value is one. Exporters write -1 or nothing for none.
    fn stop_id(&self, value: &Value, vocabulary: usize) -> Result<Option<u32>, CliError> {
        let id = match value {
            Value::Null => return Ok(None),
            value if value.as_i64().is_some_and(|id| id < 0) => return Ok(None),
            value => value.as_u64(),
        };
        let Some(id) = id else {
            let reason = format!("`eos_token_id` is {value}, not the id of a token or a list of such");
            return Err(Self::refusal(self.path.clone(), reason));
        };
        match u32::try_from(id) {
            Ok(token) if (token as usize) < vocabulary => Ok(Some(token)),
            _ => {
                let what = format!("`eos_token_id` in {}", self.path.display());
                Err(GenerateError::TokenRange { what, id, vocabulary }.into())
            }
        }
    }

    fn number(&self, value: &Value, key: &str) -> Result<Option<f64>, CliError> {
        match value {
            Value::Null => Ok(None),
            value => match value.as_f64() {
                Some(number) if is_allowed(key, number) => Ok(Some(number)),
                _ => Err(Self::refusal(self.path.clone(), format!("`{key}` is {value}; {}", range(key)))),
            },
        }
    }
}

/// Sampling as flags ask for it, filled up with what the folder says, and with what transformers takes where that is
/// nothing.
pub(crate) fn sampling(flags: &Defaults, folder: &Defaults) -> Sampling {
    let penalty = flags.repetition_penalty.or(folder.repetition_penalty).unwrap_or(1.0);
    let asks = [flags.temperature, flags.top_k, flags.top_p, flags.min_p].iter().any(Option::is_some);
    if !asks && folder.is_sampled != Some(true) {
        return Sampling { repetition_penalty: penalty, ..Sampling::GREEDY };
    }
    Sampling {
        temperature: flags.temperature.or(folder.temperature).unwrap_or(1.0),
        // Whole numbers that fit 32 bits, as checked.
        top_k: flags.top_k.or(folder.top_k).unwrap_or(50.0) as usize,
        top_p: flags.top_p.or(folder.top_p).unwrap_or(1.0),
        min_p: flags.min_p.or(folder.min_p).unwrap_or(0.0),
        repetition_penalty: penalty,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::folder;
    use super::*;

    fn open(name: &str) -> Folder {
        Folder::open(&folder(name)).unwrap()
    }

    /// A folder with one file.
    fn with(name: &str, content: &str) -> (tempfile::TempDir, Result<Folder, CliError>) {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join(name), content).unwrap();
        let folder = Folder::open(place.path());
        (place, folder)
    }

    #[test]
    fn stop_ids_come_from_every_file() {
        let ids = |name: &str| open(name).stop_ids(500).unwrap().into_iter().collect::<Vec<u32>>();
        assert_eq!(ids("chatml"), [400, 402]);
        assert_eq!(ids("llama"), [421, 424]);
        assert!(ids("spaces").is_empty());
        let nested =
            with("config.json", r#"{"eos_token_id": null, "text_config": {"eos_token_id": [-1, 7]}}"#);
        assert_eq!(nested.1.unwrap().stop_ids(8).unwrap().into_iter().collect::<Vec<u32>>(), [7]);
    }

    #[test]
    fn stop_ids_of_another_model_are_refused() {
        let error = open("llama").stop_ids(424).unwrap_err().to_string();
        assert!(error.contains("genai_config.json is token 424"), "{error}");
        assert!(error.ends_with("only has ids below 424"), "{error}");
    }

    #[test]
    fn flags_go_before_files_and_files_before_defaults() {
        let chatml = open("chatml").defaults().unwrap();
        let files = Sampling { temperature: 0.7, top_k: 20, top_p: 0.8, min_p: 0.0, repetition_penalty: 1.1 };
        assert_eq!(sampling(&Defaults::default(), &chatml), files);
        let flags = Defaults { temperature: Some(0.0), min_p: Some(0.1), ..Defaults::default() };
        assert_eq!(sampling(&flags, &chatml), Sampling { temperature: 0.0, min_p: 0.1, ..files });
        // Its genai_config.json has numbers, but samples nothing unless a flag asks for it.
        let llama = open("llama").defaults().unwrap();
        assert_eq!(sampling(&Defaults::default(), &llama), Sampling::GREEDY);
        let flags = Defaults { top_k: Some(7.0), ..Defaults::default() };
        let asked = Sampling { temperature: 0.6, top_k: 7, top_p: 0.9, ..Sampling::GREEDY };
        assert_eq!(sampling(&flags, &llama), asked);
        let flags = Defaults { temperature: Some(0.5), ..Defaults::default() };
        let plain = Sampling { temperature: 0.5, top_k: 50, ..Sampling::GREEDY };
        assert_eq!(sampling(&flags, &Defaults::default()), plain);
    }

    #[test]
    fn settings_that_cannot_be_are_refused_by_file_and_name() {
        let told = |content: &str| {
            let (_place, folder) = with("generation_config.json", content);
            let defaults = folder.and_then(|folder| folder.stop_ids(10).and(folder.defaults()));
            defaults.unwrap_err().to_string()
        };
        for (content, words) in [
            (r#"{"temperature": -1}"#, "`temperature` is -1; it must not be negative"),
            (r#"{"top_p": 0}"#, "`top_p` is 0; it must be above 0 and at most 1"),
            (r#"{"top_k": 1.5}"#, "`top_k` is 1.5; it must be a whole number"),
            (r#"{"repetition_penalty": "1"}"#, "`repetition_penalty` is \"1\"; it must be from 0.01 to 100"),
            (r#"{"eos_token_id": "x"}"#, "`eos_token_id` is \"x\""),
            ("[]", "it is no JSON object"),
            ("{", "EOF"),
        ] {
            let error = told(content);
            assert!(
                error.contains("generation_config.json cannot be used") && error.contains(words),
                "{error}"
            );
        }
    }

    #[test]
    fn a_template_stands_in_its_own_file_or_with_the_tokenizer() {
        let name = |folder: &Folder| {
            let (path, template) = folder.template().unwrap();
            (path.file_name().unwrap().to_string_lossy().into_owned(), template)
        };
        assert_eq!(name(&open("llama")).0, "chat_template.jinja");
        assert_eq!(name(&open("chatml")).0, "tokenizer_config.json");
        assert!(name(&open("spaces")).1.contains("[user]"));
        let (_place, folder) = with("config.json", "{}");
        let error = folder.unwrap().template().unwrap_err().to_string();
        assert!(error.contains("has no chat template") && error.contains("--prompt"), "{error}");
        let error = Folder::open(Path::new("nowhere")).err().unwrap().to_string();
        assert!(error.starts_with("nowhere cannot be used: it is no folder"), "{error}");
    }

    #[test]
    fn special_tokens_are_texts_or_objects() {
        let tokens = open("llama").special_tokens();
        let pair = |name: &str, token: &str| (name.to_owned(), token.to_owned());
        assert_eq!(tokens, [pair("bos_token", "<|begin_of_text|>"), pair("eos_token", "<|eot_id|>")]);
    }
}
