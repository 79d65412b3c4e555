//! Conversations as the text that a model was trained on, by the chat template in its folder.
//!
//! Templates are Jinja as transformers runs it: blocks take their line's white space with them, methods are Python's,
//! `raise_exception`, `strftime_now` and `tojson` are there, and `generation` is a block that only training looks at.

use super::folder::Folder;
use super::python;
use crate::crash;
use crate::error::CliError;
use crate::generate_error::GenerateError;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Error, ErrorKind, Value};
use serde::Serialize;
use std::borrow::Cow;
use std::path::PathBuf;
use std::thread;

/// Instructions that a template may take, and pieces of 64 bytes that it may make: far more than a chat that fills a context.
const FUEL: u64 = 1_000_000;

/// Values can be within one another as deep as there is fuel, and are dropped one inside of the other.
const STACK_BYTES: usize = 256 << 20;

/// What somebody said.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Message {
    /// `system`, `user` or `assistant`.
    pub(crate) role: &'static str,
    /// What they said.
    pub(crate) content: String,
}

/// The chat template of a model.
pub(crate) struct ChatTemplate {
    environment: Environment<'static>,
    path: PathBuf,
    /// Special tokens by name.
    tokens: Vec<(String, String)>,
}

impl ChatTemplate {
    /// The template in a model's folder. Templates that ask for the date are told `now`, in seconds since 1970, each time:
    /// a prompt that changed with the clock would leave nothing of the caches.
    pub(crate) fn open(folder: &Folder, now: u64) -> Result<Self, CliError> {
        let (path, source) = folder.template()?;
        let environment = environment(&source, now)
            .map_err(|error| GenerateError::Template { path: path.clone(), reason: in_words(&error) })?;
        Ok(Self { environment, path, tokens: folder.special_tokens() })
    }

    /// The conversation as a text behind which the assistant speaks.
    pub(crate) fn render(&self, messages: &[Message]) -> Result<String, CliError> {
        let tokens = self.tokens.iter().map(|(name, token)| (name.clone(), Value::from(token.as_str())));
        let context = tokens.chain([
            ("messages".to_owned(), Value::from(Serde(messages))),
            ("add_generation_prompt".to_owned(), Value::from(true)),
        ]);
        rendered(&self.environment, Value::from_pairs(context))
            .map_err(|reason| GenerateError::Template { path: self.path.clone(), reason }.into())
    }
}

/// Renders on a thread whose stack is enough for whatever a template makes.
fn rendered(environment: &Environment<'static>, context: Value) -> Result<String, String> {
    // Nothing of the template outlives the thread but text.
    let work = || match crash::caught(|| environment.get_template(NAME)?.render(context)) {
        Ok(rendered) => rendered.map_err(|error| in_words(&error)),
        Err(panic) => Err(panic),
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work);
        let thread = thread.map_err(|error| format!("no thread can be started for it: {error}"))?;
        thread.join().unwrap_or_else(|_| Err("its thread ended early".to_owned()))
    })
}

/// What errors call the template.
const NAME: &str = "the template";

fn environment(source: &str, now: u64) -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.set_fuel(Some(FUEL));
    environment.add_filter("tojson", python::to_json);
    environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_function("strftime_now", move |format: String| {
        python::strftime(&format, now).map_err(|reason| Error::new(ErrorKind::InvalidOperation, reason))
    });
    environment.add_template_owned(NAME, without_generation(source).into_owned())?;
    Ok(environment)
}

/// The template with the block `generation` as one that is always there, which keeps the white space around its tags.
fn without_generation(source: &str) -> Cow<'_, str> {
    let mut changed = String::new();
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start + 2);
        changed.push_str(before);
        rest = tag;
        let inner = tag.trim_start_matches(['-', '+']).trim_start();
        let word = inner.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default();
        let new = match word {
            "generation" => "if true",
            "endgeneration" => "endif",
            _ => continue,
        };
        let (lead, after) = (&tag[..tag.len() - inner.len()], &inner[word.len()..]);
        changed.push_str(lead);
        changed.push_str(new);
        rest = after;
    }
    if changed.is_empty() {
        return Cow::Borrowed(source);
    }
    changed.push_str(rest);
    Cow::Owned(changed)
}

/// The error with its causes, which are parts of an expression: the last one says most.
fn in_words(error: &Error) -> String {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{NOW, cases, folder};
    use super::*;

    fn text(source: &str) -> Result<String, String> {
        let environment = environment(source, NOW).map_err(|error| in_words(&error))?;
        rendered(&environment, Value::from_pairs([("x", Value::from(7))]))
    }

    #[test]
    fn conversations_are_written_as_jinja_writes_them() {
        for name in ["chatml", "llama", "spaces"] {
            let template = ChatTemplate::open(&Folder::open(&folder(name)).unwrap(), NOW).unwrap();
            for case in cases(name)["render"].as_array().unwrap() {
                let messages = case["messages"].as_array().unwrap().iter().map(|message| Message {
                    role: match message["role"].as_str().unwrap() {
                        "system" => "system",
                        "user" => "user",
                        _ => "assistant",
                    },
                    content: message["content"].as_str().unwrap().to_owned(),
                });
                let messages: Vec<Message> = messages.collect();
                assert_eq!(template.render(&messages).unwrap(), case["text"].as_str().unwrap(), "{name}");
            }
        }
    }

    #[test]
    fn a_template_may_refuse_a_conversation() {
        let template = ChatTemplate::open(&Folder::open(&folder("llama")).unwrap(), NOW).unwrap();
        let message = Message { role: "assistant", content: "I begin".to_owned() };
        let error = template.render(&[message]).unwrap_err().to_string();
        assert!(error.contains("chat_template.jinja fails: "), "{error}");
        assert!(error.contains("users and models take turns"), "{error}");
    }

    #[test]
    fn the_block_of_training_is_what_is_in_it() {
        assert_eq!(text("a {%- generation -%} b {%- endgeneration %} c").unwrap(), "ab c");
        assert_eq!(
            text("{% for i in [1, 2] %}{%generation%}{{ i }}{%endgeneration%}{% endfor %}").unwrap(),
            "12"
        );
        assert_eq!(text("{% set generation = x %}{{ generation }} {%").map_err(|_| ()), Err(()));
        assert_eq!(text("{% set generation = x %}{{ generation }}").unwrap(), "7");
    }

    #[test]
    fn templates_speak_python() {
        for (source, expected) in [
            ("{{ ' a b '.strip().split(' ') | length }}", "2"),
            ("{{ true }} {{ none }} {{ 1.0 }} {{ [1, 'a', false] }}", "True None 1.0 [1, 'a', False]"),
            ("{% for i in range(9) %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}", "012"),
            ("{{ strftime_now('%Y-%m-%d') }}", "2026-03-07"),
            ("{{ {'a': x} | tojson }}", "{\"a\": 7}"),
            ("{{ missing }}|{{ missing is defined }}", "|False"),
            ("  {% if x %}\n    y\n  {% endif %}\nz", "    y\nz"),
        ] {
            assert_eq!(text(source).unwrap(), expected, "{source}");
        }
    }

    #[test]
    fn values_deep_in_one_another_take_no_stack_down() {
        let deep =
            "{% set ns = namespace(x=1) %}{% for i in range(99000) %}{% set ns.x = [ns.x] %}{% endfor %}";
        assert_eq!(text(deep), Ok(String::new()));
        for end in ["{{ ns.x }}", "{{ ns.x | tojson }}", "{{ ns.x == ns.x }}", "{{ ns.x | string | length }}"]
        {
            // Whatever comes of it.
            drop(text(&format!("{deep}{end}")));
        }
    }

    #[test]
    fn templates_without_end_are_stopped() {
        for source in [
            "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
            "{% for a in range(99999) %}{% for b in range(99999) %}{{ b }}{% endfor %}{% endfor %}",
            "{{ 'x' * 99999999999 }}",
            "{{ missing.content }}",
            "{% if %}",
            "{{ strftime_now('%Q') }}",
        ] {
            assert!(text(source).is_err(), "{source}");
        }
    }
}
