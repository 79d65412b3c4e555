//! `--prompt`: a text that is continued.

use super::*;

/// A model that knows one sentence.
fn model(name: &str, prompt: &str, answer: &str) -> Fake {
    let tokenizer = tokenizer(name);
    let question = tokenizer.encode(prompt, true).unwrap();
    let whole = tokenizer.encode(&format!("{prompt}{answer}"), true).unwrap();
    let answer =
        whole.strip_prefix(question.as_slice()).expect("words that are tokens of their own").to_vec();
    Fake::saying(vec![(question, answer)], 2)
}

#[test]
fn a_prompt_is_continued_and_figures_are_told() {
    let mut model = model("spaces", "the", " memory of a bundle");
    let done = command(&mut model, "spaces", &["--prompt", "the", "--stop", "</s>"], "");
    assert_eq!(done.result.unwrap(), Outcome::Fine);
    assert_eq!(done.out, " memory of a bundle\n");
    let heads: Vec<&str> = done.err.lines().map(|line| line.split("  ").next().unwrap()).collect();
    assert_eq!(heads, ["prompt", "generated", "first token", "sampling"]);
    assert!(done.err.contains("ended by a stop token"), "{}", done.err);
    assert!(done.err.contains("greedy, seed "), "{}", done.err);
    let turn = &done.json["turns"][0];
    assert_eq!((&turn["text"], &turn["stopped_by"]), (&" memory of a bundle".into(), &"token".into()));
    assert_eq!(turn["prompt_tokens"], model.fed[0].len());
    assert_eq!(turn["generated_tokens"], turn["tokens"].as_array().unwrap().len());
    assert_eq!(done.json["context_tokens"], 256);
    // The model's own token for the beginning stands before a prompt.
    assert_eq!(model.fed[0][0], 1);
}

#[test]
fn a_text_ends_where_flags_say() {
    let text = |flags: &[&str]| {
        let mut model = model("chatml", "Each", " kernel reads its weights once");
        let words =
            [&["--prompt", "Each", "--temperature", "0", "--repetition-penalty", "1"], flags].concat();
        let done = command(&mut model, "chatml", &words, "");
        assert_eq!(done.result.unwrap(), Outcome::Fine);
        (done.out, done.json["turns"][0]["stopped_by"].as_str().unwrap().to_owned())
    };
    let pair = |text: &str, by: &str| (text.to_owned(), by.to_owned());
    assert_eq!(text(&["--stop", " weights"]), pair(" kernel reads its\n", "text"));
    assert_eq!(text(&["--stop", "2"]), pair(" kernel reads its weights once\n", "token"));
    assert_eq!(text(&["--max-tokens", "1"]).1, "limit");
    // Nothing ends it but the context: the model goes on with its last token.
    assert_eq!(text(&[]).1, "context");
}

#[test]
fn a_seed_gives_the_same_text_and_settings_come_from_the_folder() {
    let draw = |seed: &str| {
        let mut model = Fake::new(416, 64);
        let words = ["--prompt", "Each", "--max-tokens", "20", "--seed", seed];
        command(&mut model, "chatml", &words, "")
    };
    let (one, again, other) = (draw("1"), draw("1"), draw("2"));
    let tokens = |done: &Done| done.json["turns"][0]["tokens"].clone();
    assert_eq!(tokens(&one), tokens(&again));
    assert_ne!(tokens(&one), tokens(&other));
    let told = "sampling     temperature 0.7, top-k 20, top-p 0.8, repetition penalty 1.1, seed 1\n";
    assert!(one.err.ends_with(told), "{}", one.err);
    assert_eq!(one.json["seed"], 1);
    assert_eq!(one.json["sampling"]["top_k"], 20);
}

#[test]
fn folders_of_other_models_are_refused() {
    let told = |vocabulary, words: &[&str]| {
        let words = [&["--prompt", "a"], words].concat();
        let done = command(&mut Fake::new(vocabulary, 64), "chatml", &words, "");
        assert_eq!((done.out.as_str(), done.err.as_str(), &done.json), ("", "", &Value::Null));
        done.result.unwrap_err().to_string()
    };
    assert!(told(300, &[]).ends_with("the tokenizer of another model"));
    assert!(told(401, &[]).contains("generation_config.json is token 402"));
    let error = told(416, &["--stop", "416"]);
    assert_eq!(error, "--stop 416 is token 416, but the bundle's model only has ids below 416");
}

#[test]
fn a_prompt_beyond_the_context_names_both_numbers() {
    let text = "word ".repeat(100);
    let done = command(&mut Fake::new(416, 64), "chatml", &["--prompt", &text], "");
    let error = done.result.unwrap_err().to_string();
    assert!(error.contains(" tokens long, but the bundle's context holds 64"), "{error}");
    assert!(done.out.is_empty());
}
