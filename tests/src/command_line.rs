//! The command line, called as a shell calls it.

use driftc::Console;

/// What a command did.
#[derive(Debug)]
pub struct Done {
    /// Exit code.
    pub code: u8,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Runs `driftc` with these words.
pub fn driftc(words: &[&str]) -> Done {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut console = Console::new(&mut out, &mut err);
    let code = driftc::execute_words(std::iter::once("driftc").chain(words.iter().copied()), &mut console);
    let text = |bytes| String::from_utf8(bytes).expect("driftc writes UTF-8");
    Done { code, out: text(out), err: text(err) }
}

/// Bad usage or bad input: exit code 2, a message with these words, and no result.
#[track_caller]
pub fn refused(words: &[&str], message: &[&str]) {
    let done = driftc(words);
    assert_eq!(done.code, 2, "{words:?}: {done:?}");
    for part in message {
        assert!(done.err.contains(part), "{words:?}: `{part}` is not in\n{}", done.err);
    }
}

/// Runs `driftc` with words that are fine.
#[track_caller]
pub fn fine(words: &[&str]) -> Done {
    let done = driftc(words);
    assert_eq!(done.code, 0, "{words:?}: {done:?}");
    done
}
