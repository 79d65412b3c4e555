//! Why no text can be generated: a bundle, a model's folder, a prompt, or logits that are no numbers.

use std::path::PathBuf;

/// What stops `driftc generate` and `driftc bench --llm`.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// A bundle of another kind of model, or compiled without the stages of a language model.
    #[error(
        "the bundle has no entry `{entry}`, without which it generates no text; its entries: {}",
        known.join(", ")
    )]
    NoEntry {
        /// The entry.
        entry: &'static str,
        /// Entries that it has.
        known: Vec<String>,
    },
    /// A bundle with the right entries whose caches are inputs and outputs.
    #[error(
        "the bundle's entries keep no caches; compile it with --dim PAST=0..N, where PAST is the dimension of past rows"
    )]
    Stateless,
    /// An entry with other inputs or outputs than a language model has.
    #[error("entry `{entry}` is not one of a language model: {reason}")]
    Entry {
        /// The entry.
        entry: &'static str,
        /// What it lacks.
        reason: String,
    },
    /// A file of the model's folder that cannot be used.
    #[error("{} cannot be used: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A tokenizer with more tokens than the model has logits.
    #[error(
        "{} has tokens up to id {largest}, but the bundle's model only ids below {vocabulary}: it is the tokenizer of \
         another model",
        path.display()
    )]
    OtherTokenizer {
        /// The tokenizer.
        path: PathBuf,
        /// Its largest id.
        largest: u32,
        /// The model's logits.
        vocabulary: usize,
    },
    /// A token id that the model does not have.
    #[error("{what} is token {id}, but the bundle's model only has ids below {vocabulary}")]
    TokenRange {
        /// Where it comes from.
        what: String,
        /// The id.
        id: u64,
        /// The model's logits.
        vocabulary: usize,
    },
    /// Text that cannot be made tokens, or tokens that cannot be made text.
    #[error("the tokenizer cannot {what}: {reason}")]
    Tokenizer {
        /// What it was to do.
        what: &'static str,
        /// What it says.
        reason: String,
    },
    /// A folder without a chat template.
    #[error(
        "{} has no chat template: neither chat_template.jinja nor `chat_template` in tokenizer_config.json; generate with \
         --prompt instead of --chat",
        .0.display()
    )]
    NoTemplate(PathBuf),
    /// A chat template that cannot be read, or refuses the conversation.
    #[error("the chat template in {} fails: {reason}", path.display())]
    Template {
        /// Where it stands.
        path: PathBuf,
        /// What it says.
        reason: String,
    },
    /// A prompt that gives the model nothing to go on from.
    #[error("the prompt is no token at all; give it some text")]
    EmptyPrompt,
    /// A prompt that the caches cannot hold.
    #[error(
        "the prompt is {tokens} tokens long, but the bundle's context holds {capacity}; shorten it, or compile with a \
         larger bound"
    )]
    PromptTooLong {
        /// Tokens of the prompt.
        tokens: usize,
        /// Tokens that the caches hold.
        capacity: usize,
    },
    /// A measurement that the caches cannot hold.
    #[error(
        "{test} takes {tokens} tokens, but the bundle's context holds {capacity}; ask for fewer with -p, -n or -d"
    )]
    TestTooLong {
        /// What was to be measured.
        test: String,
        /// Tokens that it takes.
        tokens: usize,
        /// Tokens that the caches hold.
        capacity: usize,
    },
    /// A file without token ids.
    #[error("{} holds no token ids: {reason}", path.display())]
    Tokens {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Too few tokens to compare anything.
    #[error("--tokens has {0}, but a comparison needs at least two: the second is what follows the first")]
    FewTokens(usize),
    /// Windows in which no token follows another.
    #[error(
        "a window of {0} token predicts none; a comparison needs caches, and a --window, of at least two"
    )]
    ShortWindow(usize),
    /// Two models over different tokens.
    #[error("the bundles are of models with different vocabularies: {reference} tokens and {other}")]
    OtherVocabulary {
        /// Logits of the reference.
        reference: usize,
        /// Logits of the other.
        other: usize,
    },
    /// Logits from which nothing can be chosen.
    #[error("the model's logits behind token {position} are of no use: {fault}")]
    Logits {
        /// Tokens that the model had seen.
        position: usize,
        /// What is wrong with them.
        fault: LogitsFault,
    },
    /// A model that has lost count of its tokens.
    #[error("the model holds {found} tokens where it was fed {expected}")]
    Position {
        /// Tokens that it was fed.
        expected: usize,
        /// Tokens that it says it holds.
        found: usize,
    },
    /// Greedy steps that came with no token or too many.
    #[error("the model chose {found} tokens where 1 to {most} were asked for")]
    Steps {
        /// Tokens that came.
        found: usize,
        /// Tokens that were asked for.
        most: usize,
    },
    /// A message that is not text, or is without end.
    #[error("a message on standard input {0}")]
    Message(&'static str),
}

/// What is wrong with logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogitsFault {
    /// Not a number.
    #[error("that of token {0} is NaN")]
    Nan(usize),
    /// Beyond the range of its type.
    #[error("that of token {0} is infinite, as when f16 overflows; compile with --precision f32 to compare")]
    Infinite(usize),
    /// The largest is none, as the device saw that chose by it.
    #[error("the largest is NaN or infinite, as when f16 overflows; compile with --precision f32 to compare")]
    Unordered,
    /// Every token is ruled out.
    #[error("all of them are minus infinity")]
    NoneAllowed,
    /// Not one for each token.
    #[error("there are {found} of them, not {expected}")]
    Count {
        /// Logits that came.
        found: usize,
        /// Logits that the model promised.
        expected: usize,
    },
}
