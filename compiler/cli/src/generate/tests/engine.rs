//! What is fed to a model, and what ends a text.

use super::super::engine::{Engine, Stopped, Stops, Turn, Watch};
use super::super::sampling::{Sampler, Sampling};
use super::*;
use std::cell::Cell;
use std::time::Instant;

/// One turn after another on one model, greedily.
fn turns(model: &mut Fake, stops: &Stops, prompts: &[&[u32]]) -> Result<Vec<Turn>, CliError> {
    let tokenizer = tokenizer("chatml");
    let mut engine = Engine::new(model, &tokenizer, Sampler::new(Sampling::GREEDY, 0), stops.clone())?;
    let mut turns = Vec::new();
    for prompt in prompts {
        let mut show = |_: &str| Ok(());
        let mut watch = Watch { started: Instant::now(), show: &mut show, is_interrupted: &|| false };
        turns.push(engine.turn(prompt, &mut watch)?);
    }
    Ok(turns)
}

fn limit(tokens: usize) -> Stops {
    Stops { limit: Some(tokens), ..Stops::default() }
}

fn message(model: &mut Fake, prompt: &[u32]) -> String {
    turns(model, &limit(3), &[prompt]).unwrap_err().to_string()
}

#[test]
fn the_caches_get_each_token_once() {
    let mut model = Fake::new(400, 64);
    let turn = turns(&mut model, &limit(4), &[&[5, 6, 7]]).unwrap().remove(0);
    assert_eq!((turn.tokens.len(), turn.stopped, turn.cached, turn.fed), (4, Stopped::Limit, 0, 3));
    // The last token is chosen, and not fed.
    assert_eq!(model.fed[0], [5, 6, 7]);
    assert_eq!(model.fed[1..].concat(), turn.tokens[..3]);
}

#[test]
fn greedy_steps_of_a_device_say_the_same() {
    let expected = turns(&mut Fake::new(400, 40), &Stops::default(), &[&[5, 6, 7]]).unwrap().remove(0);
    assert_eq!((expected.tokens.len(), expected.stopped), (38, Stopped::Context));
    for most in [1, 3, 100] {
        let mut model = Fake::new(400, 40);
        model.greedy = Some(most);
        let turn = turns(&mut model, &Stops::default(), &[&[5, 6, 7]]).unwrap().remove(0);
        assert_eq!((turn.tokens, turn.stopped), (expected.tokens.clone(), Stopped::Context), "{most}");
        assert_eq!((model.fed.len(), model.chosen, model.position()), (1, 37, 40));
    }
    // A stop that comes late is given back.
    let stops = Stops { ids: [expected.tokens[9]].into(), ..Stops::default() };
    let early = expected.tokens.iter().position(|token| *token == expected.tokens[9]).unwrap();
    let mut model = Fake::new(400, 40);
    model.greedy = Some(100);
    let turn = turns(&mut model, &stops, &[&[5, 6, 7]]).unwrap().remove(0);
    assert_eq!((turn.stopped, turn.tokens.as_slice()), (Stopped::Token, &expected.tokens[..=early]));
    assert!(model.chosen >= early && model.position() <= 3 + early + 1);
}

#[test]
fn a_prompt_is_fed_behind_what_the_caches_share_with_it() {
    let mut model = Fake::new(400, 64);
    let stops = limit(2);
    let first = turns(&mut model, &stops, &[&[1, 2, 3, 4]]).unwrap().remove(0).tokens;
    let mut model = Fake::new(400, 64);
    let longer = [&[1, 2, 3, 4][..], &first, &[9]].concat();
    let turns = turns(&mut model, &stops, &[&[1, 2, 3, 4], &longer, &[1, 2, 9], &[1, 2, 9]]).unwrap();
    let parts: Vec<(usize, usize)> = turns.iter().map(|turn| (turn.cached, turn.fed)).collect();
    // Of the first answer the last token was not fed; a prompt that is there already is fed its last token again.
    assert_eq!(parts, [(0, 4), (5, 2), (2, 1), (2, 1)]);
    assert_eq!(turns[2].tokens, turns[3].tokens);
}

#[test]
fn what_a_window_left_behind_is_fed_again() {
    let mut model = Fake::new(400, 64);
    model.evicted = 3;
    let turns = turns(&mut model, &limit(1), &[&[1, 2, 3, 4], &[1, 2, 5], &[1, 2, 5, 6]]).unwrap();
    let parts: Vec<(usize, usize)> = turns.iter().map(|turn| (turn.cached, turn.fed)).collect();
    assert_eq!(parts, [(0, 4), (0, 3), (3, 1)]);
}

#[test]
fn the_context_bounds_prompt_and_text() {
    let prompt = [7; 10];
    let mut model = Fake::new(400, 10);
    let turn = turns(&mut model, &Stops::default(), &[&prompt]).unwrap().remove(0);
    assert_eq!((turn.tokens.len(), turn.stopped), (1, Stopped::Context));
    assert!(
        message(&mut Fake::new(400, 9), &prompt)
            .starts_with("the prompt is 10 tokens long, but the bundle's context holds 9; shorten it")
    );
    assert!(message(&mut Fake::new(400, 9), &[]).starts_with("the prompt is no token"));
}

#[test]
fn logits_of_no_use_end_in_an_error() {
    let broken = |bad: fn(usize) -> Vec<f32>| {
        let mut model = Fake::new(400, 64);
        model.logits = Box::new(move |held| bad(held.len()));
        message(&mut model, &[5, 6, 7])
    };
    assert!(
        broken(|_| vec![f32::NAN; 400]).ends_with("behind token 3 are of no use: that of token 0 is NaN")
    );
    let later = broken(|held| vec![if held == 4 { f32::INFINITY } else { 1.0 }; 400]);
    assert!(later.contains("behind token 4 are of no use: that of token 0 is infinite"), "{later}");
    assert!(broken(|_| vec![f32::NEG_INFINITY; 400]).ends_with("all of them are minus infinity"));
    assert!(broken(|_| vec![0.0; 399]).ends_with("there are 399 of them, not 400"));
}

#[test]
fn an_interrupt_ends_a_text_with_what_there_is() {
    let tokenizer = tokenizer("chatml");
    let mut model = Fake::new(400, 64);
    let sampler = Sampler::new(Sampling::GREEDY, 0);
    let mut engine = Engine::new(&mut model, &tokenizer, sampler, Stops::default()).unwrap();
    let looks = Cell::new(0);
    let is_interrupted = || looks.replace(looks.get() + 1) == 2;
    let mut shown = String::new();
    let mut show = |piece: &str| {
        shown.push_str(piece);
        Ok(())
    };
    let mut watch = Watch { started: Instant::now(), show: &mut show, is_interrupted: &is_interrupted };
    let turn = engine.turn(&[5], &mut watch).unwrap();
    assert_eq!((turn.stopped, turn.tokens.len()), (Stopped::Interrupt, 3));
    assert_eq!(turn.text, shown);
}
