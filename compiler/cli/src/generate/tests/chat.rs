//! `--chat`: lines that are answered.

use super::super::template::{ChatTemplate, Message};
use super::*;

/// A conversation in which the model knows its part, and the tokens of each prompt.
fn conversation(name: &str, said: &[(&str, &str)], end: &str) -> (Fake, Vec<Vec<u32>>) {
    let tokenizer = tokenizer(name);
    let template = ChatTemplate::open(&Folder::open(&folder(name)).unwrap(), NOW).unwrap();
    let end = tokenizer.id(end);
    let (mut messages, mut answers) = (Vec::new(), Vec::new());
    for (question, answer) in said {
        messages.push(Message { role: "user", content: (*question).to_owned() });
        let prompt = tokenizer.encode(&template.render(&messages).unwrap(), false).unwrap();
        let mut tokens = tokenizer.encode(answer, false).unwrap();
        tokens.push(end);
        answers.push((prompt, tokens));
        messages.push(Message { role: "assistant", content: (*answer).to_owned() });
    }
    // Longer prompts first: a shorter one is the start of them.
    let prompts = answers.iter().map(|(prompt, _)| prompt.clone()).collect();
    answers.reverse();
    (Fake::saying(answers, end), prompts)
}

#[test]
fn each_line_is_answered_behind_what_was_said() {
    for (name, end) in [("chatml", "<|im_end|>"), ("llama", "<|eot_id|>")] {
        let said = [("What is a warp?", "32 lanes \u{1f680}"), ("And a tile?", "A part of a matrix")];
        let (mut model, prompts) = conversation(name, &said, end);
        let words = ["--chat", "--temperature", "0", "--repetition-penalty", "1"];
        let done = command(&mut model, name, &words, "What is a warp?\n\n  \nAnd a tile?");
        assert_eq!(done.result.unwrap(), Outcome::Fine);
        assert_eq!(done.out, "32 lanes \u{1f680}\nA part of a matrix\n", "{name}");
        let turns = done.json["turns"].as_array().unwrap();
        let numbers = |key: &str| turns.iter().map(|turn| turn[key].as_u64().unwrap()).collect::<Vec<u64>>();
        assert_eq!(
            numbers("prompt_tokens"),
            prompts.iter().map(|prompt| prompt.len() as u64).collect::<Vec<_>>()
        );
        // The caches keep the first prompt and its answer, and nothing of it is fed twice.
        let cached = numbers("cached_tokens");
        assert!(cached[0] == 0 && cached[1] >= prompts[0].len() as u64, "{cached:?}");
        assert_eq!(model.fed.iter().filter(|fed| fed.len() > 1).count(), 2);
        assert!(done.err.contains(" more from the cache"), "{}", done.err);
    }
}

#[test]
fn a_system_message_comes_first() {
    let (mut model, _) = conversation("llama", &[], "<|eot_id|>");
    let done = command(&mut model, "llama", &["--chat", "--system", "Be brief."], "Hi\n");
    assert_eq!(done.result.unwrap(), Outcome::Fine);
    let text = "Today is 07 Mar 2026.\nBe brief.";
    let fed = tokenizer("llama").decode(&model.fed[0]).unwrap();
    assert!(fed.contains(text), "{fed}");
    assert_eq!(fed.matches("Hi").count(), 1);
}

#[test]
fn a_chat_without_lines_says_nothing() {
    let done = command(&mut Fake::new(512, 64), "llama", &["--chat"], "\n \n");
    assert_eq!(done.result.unwrap(), Outcome::Fine);
    assert_eq!((done.out.as_str(), done.err.as_str()), ("", ""));
    assert_eq!(done.json["turns"], Value::Array(Vec::new()));
}

#[test]
fn messages_that_are_no_text_are_refused() {
    let mut lines = &b"\xff\n"[..];
    let mut input = Input { is_terminal: false, lines: &mut lines };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let error = input.message(&mut Console::new(&mut out, &mut err)).unwrap_err();
    assert_eq!(error.to_string(), "a message on standard input is not UTF-8");
}

#[test]
fn what_was_said_before_an_error_stays() {
    let said = [("What is a warp?", "32 lanes")];
    let (mut model, _) = conversation("chatml", &said, "<|im_end|>");
    let words = ["--chat", "--temperature", "0", "--repetition-penalty", "1"];
    let input = format!("What is a warp?\n{}\n", "word ".repeat(400));
    let done = command(&mut model, "chatml", &words, &input);
    assert!(done.result.unwrap_err().to_string().contains("the bundle's context holds 256"));
    assert_eq!(done.out, "32 lanes\n");
    assert!(done.err.contains("greedy, seed "), "{}", done.err);
}
