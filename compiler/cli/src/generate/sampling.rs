//! Chooses the next token from logits, the same on every machine for the same seed.
//!
//! In this order: the repetition penalty; at temperature 0 the largest score, the lowest id among equals; otherwise
//! the temperature, top-k, top-p among those, min-p among those, and one draw. That is the order of transformers, for which
//! the defaults in `generation_config.json` are meant. Powers of e are computed here, by arithmetic that IEEE 754 fixes,
//! because those of systems' libraries differ in the last bit.

use crate::generate_error::LogitsFault;
use crate::random::Random;
use serde::Serialize;
use std::cmp::Ordering;

/// How the next token is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Sampling {
    /// What logits are divided by; 0 is greedy.
    pub(crate) temperature: f64,
    /// Tokens that stay, the likeliest ones; 0 is all.
    pub(crate) top_k: usize,
    /// Probability that the likeliest tokens must have together to stay; 1 is all.
    pub(crate) top_p: f64,
    /// Probability, in parts of the likeliest token's, that a token must have to stay; 0 is all.
    pub(crate) min_p: f64,
    /// What positive scores of tokens that are there already are divided by, and negative ones multiplied; 1 is nothing.
    pub(crate) repetition_penalty: f64,
}

impl Sampling {
    /// Always the likeliest token.
    pub(crate) const GREEDY: Self =
        Self { temperature: 0.0, top_k: 0, top_p: 1.0, min_p: 0.0, repetition_penalty: 1.0 };

    /// Whether nothing is drawn.
    pub(crate) fn is_greedy(&self) -> bool {
        self.temperature == 0.0
    }

    /// Whether the largest logit is chosen as it comes, which a device can do.
    pub(crate) fn is_argmax(&self) -> bool {
        self.is_greedy() && self.repetition_penalty == 1.0
    }
}

impl std::fmt::Display for Sampling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { temperature, top_k, top_p, min_p, repetition_penalty } = self;
        match self.is_greedy() {
            true => write!(f, "greedy")?,
            false => write!(f, "temperature {temperature}")?,
        }
        if !self.is_greedy() && *top_k > 0 {
            write!(f, ", top-k {top_k}")?;
        }
        if !self.is_greedy() && *top_p < 1.0 {
            write!(f, ", top-p {top_p}")?;
        }
        if !self.is_greedy() && *min_p > 0.0 {
            write!(f, ", min-p {min_p}")?;
        }
        if *repetition_penalty != 1.0 {
            write!(f, ", repetition penalty {repetition_penalty}")?;
        }
        Ok(())
    }
}

/// Chooses tokens one after another.
pub(crate) struct Sampler {
    sampling: Sampling,
    random: Random,
}

impl Sampler {
    pub(crate) fn new(sampling: Sampling, seed: u64) -> Self {
        Self { sampling, random: Random::seeded(seed) }
    }

    pub(crate) fn sampling(&self) -> &Sampling {
        &self.sampling
    }

    /// The token behind `context`.
    pub(crate) fn choose(&mut self, logits: &[f32], context: &[u32]) -> Result<u32, LogitsFault> {
        check(logits)?;
        let logits = logits.iter().map(|&logit| f64::from(logit));
        if self.sampling.is_argmax() {
            return Ok(best(logits).id);
        }
        let mut scores: Vec<f64> = logits.collect();
        self.penalize(&mut scores, context);
        let best = best(scores.iter().copied());
        if self.sampling.is_greedy() {
            return Ok(best.id);
        }
        let candidates = (0..).zip(scores).map(|(id, weight)| Candidate { id, weight });
        let candidates = self.kept(candidates.collect(), best.weight);
        Ok(self.draw(&candidates).unwrap_or(best.id))
    }

    fn penalize(&self, scores: &mut [f64], context: &[u32]) {
        let penalty = self.sampling.repetition_penalty;
        if penalty == 1.0 {
            return;
        }
        let mut seen = vec![false; scores.len()];
        for &token in context {
            if let Some(seen) = seen.get_mut(token as usize) {
                *seen = true;
            }
        }
        for (score, _) in scores.iter_mut().zip(seen).filter(|(_, seen)| *seen) {
            *score = if *score < 0.0 { *score * penalty } else { *score / penalty };
        }
    }

    /// Those that may be drawn, of candidates whose weights are their scores, the largest of which is `largest`: the likeliest
    /// first, or all in the order of their ids where none is to be left out by rank.
    fn kept(&self, mut candidates: Vec<Candidate>, largest: f64) -> Vec<Candidate> {
        let Sampling { temperature, top_k, top_p, min_p, .. } = self.sampling;
        if top_k > 0 && top_k < candidates.len() {
            candidates.select_nth_unstable_by(top_k - 1, Candidate::likelier);
            candidates.truncate(top_k);
            // The sums below depend on the order.
            candidates.sort_unstable_by(Candidate::likelier);
        }
        // The likeliest token has the weight 1.
        for candidate in &mut candidates {
            candidate.weight = exp((candidate.weight - largest) / temperature);
        }
        if top_p < 1.0 {
            candidates = nucleus(candidates, top_p);
        }
        candidates.retain(|candidate| candidate.weight >= min_p);
        candidates
    }

    fn draw(&mut self, candidates: &[Candidate]) -> Option<u32> {
        let target = self.random.unit() * sum(candidates);
        let mut cumulative = 0.0;
        let reaches = |candidate: &&Candidate| {
            cumulative += candidate.weight;
            cumulative >= target
        };
        candidates.iter().find(reaches).map(|candidate| candidate.id)
    }
}

/// Refuses logits that say nothing: a comparison with NaN would choose a token all the same.
fn check(logits: &[f32]) -> Result<(), LogitsFault> {
    let at = |wrong: fn(&f32) -> bool| logits.iter().position(wrong);
    if let Some(token) = at(|logit| logit.is_nan()) {
        return Err(LogitsFault::Nan(token));
    }
    if let Some(token) = at(|logit| *logit == f32::INFINITY) {
        return Err(LogitsFault::Infinite(token));
    }
    if logits.iter().all(|logit| *logit == f32::NEG_INFINITY) {
        return Err(LogitsFault::NoneAllowed);
    }
    Ok(())
}

/// Of the largest scores, the one with the lowest id.
fn best(scores: impl Iterator<Item = f64>) -> Candidate {
    let larger = |best: Candidate, (id, weight): (u32, f64)| match weight > best.weight {
        true => Candidate { id, weight },
        false => best,
    };
    (0..).zip(scores).fold(Candidate { id: 0, weight: f64::NEG_INFINITY }, larger)
}

/// A token with its score, later with its probability in parts of the likeliest one's.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    id: u32,
    weight: f64,
}

impl Candidate {
    /// The likelier one first, the lower id among equals.
    fn likelier(&self, other: &Self) -> Ordering {
        other.weight.total_cmp(&self.weight).then(self.id.cmp(&other.id))
    }
}

fn sum(candidates: &[Candidate]) -> f64 {
    candidates.iter().map(|candidate| candidate.weight).sum()
}

/// The fewest of the likeliest candidates that have the share `top_p` of all probability.
fn nucleus(mut candidates: Vec<Candidate>, top_p: f64) -> Vec<Candidate> {
    // Most of a large vocabulary is never sorted.
    const FIRST: usize = 256;
    let target = top_p * sum(&candidates);
    let (mut sorted, mut cumulative, mut step) = (0, 0.0, FIRST);
    while sorted < candidates.len() {
        let rest = &mut candidates[sorted..];
        let taken = step.min(rest.len());
        if taken < rest.len() {
            rest.select_nth_unstable_by(taken - 1, Candidate::likelier);
        }
        rest[..taken].sort_unstable_by(Candidate::likelier);
        for (index, candidate) in rest[..taken].iter().enumerate() {
            cumulative += candidate.weight;
            if cumulative >= target {
                candidates.truncate(sorted + index + 1);
                return candidates;
            }
        }
        sorted += taken;
        step *= 4;
    }
    candidates
}

/// The series of e to the power of x, as far as it counts where x is at most 0.35: 1 by the factorials.
const SERIES: [f64; 15] = {
    let mut terms = [1.0; 15];
    let (mut factorial, mut at) = (1.0, 1);
    while at < terms.len() {
        factorial *= at as f64;
        terms[at] = 1.0 / factorial;
        at += 1;
    }
    terms
};

/// e to the power of `x`, which is at most 0: within two units in the last place, and the same everywhere.
fn exp(x: f64) -> f64 {
    // Less is beyond what a draw of 53 bits can hit.
    if x < -700.0 {
        return 0.0;
    }
    // x = halvings * ln 2 + rest, with ln 2 in two parts, the first of which has zeros at its end.
    let (ln2, ln2_rest) = (f64::from_bits(0x3fe6_2e42_fee0_0000), f64::from_bits(0x3dea_39ef_3579_3c76));
    let halvings = (x * std::f64::consts::LOG2_E).round_ties_even();
    let rest = (x - halvings * ln2) - halvings * ln2_rest;
    let series = SERIES.iter().rev().fold(0.0, |series, term| series * rest + term);
    series * f64::from_bits(((1023 + halvings as i64) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Sampling =
        Sampling { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0, repetition_penalty: 1.0 };

    /// Tokens that come out of many draws.
    fn drawn(sampling: Sampling, logits: &[f32]) -> Vec<u32> {
        let mut sampler = Sampler::new(sampling, 1);
        let mut ids: Vec<u32> = (0..2000).map(|_| sampler.choose(logits, &[]).unwrap()).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    fn greedy(penalty: f64, logits: &[f32], context: &[u32]) -> Result<u32, LogitsFault> {
        let sampling = Sampling { repetition_penalty: penalty, ..Sampling::GREEDY };
        Sampler::new(sampling, 0).choose(logits, context)
    }

    #[test]
    fn the_power_is_that_of_the_library() {
        for step in 0..14_000 {
            let x = -f64::from(step) / 20.0;
            let (ours, theirs) = (exp(x), x.exp());
            assert!((ours - theirs).abs() <= 4.5e-16 * theirs, "{x}: {ours:e}, {theirs:e}");
        }
        assert_eq!((exp(0.0), exp(-1e300), exp(f64::NEG_INFINITY)), (1.0, 0.0, 0.0));
        // To the bit, on every machine.
        assert_eq!(exp(-1.0).to_bits(), 0x3fd7_8b56_362c_ef38);
        assert_eq!(exp(-33.3).to_bits(), EXP_OF_MINUS_33_3);
    }

    const EXP_OF_MINUS_33_3: u64 = 0x3cef_165b_b9b5_9d94;

    #[test]
    fn greedy_takes_the_lowest_of_the_largest() {
        assert_eq!(greedy(1.0, &[0.5, 2.0, 2.0, -1.0], &[]), Ok(1));
        assert_eq!(greedy(1.0, &[f32::NEG_INFINITY, f32::MIN], &[]), Ok(1));
    }

    #[test]
    fn the_penalty_lowers_scores_of_either_sign() {
        assert_eq!(greedy(1.3, &[1.0, 1.2], &[1, 1, 1]), Ok(0));
        assert_eq!(greedy(1.3, &[-1.2, -1.0], &[1]), Ok(0));
        // Once, however often a token is there, and tokens of nobody count for nothing.
        assert_eq!(greedy(1.3, &[1.0, 1.4], &[1, 1, 1, 900]), Ok(1));
    }

    #[test]
    fn each_limit_leaves_the_likeliest() {
        let logits = [1.0, 3.0, 2.0, 3.0, f32::NEG_INFINITY];
        assert_eq!(drawn(ALL, &logits), [0, 1, 2, 3]);
        assert_eq!(drawn(Sampling { top_k: 1, ..ALL }, &logits), [1]);
        assert_eq!(drawn(Sampling { top_k: 3, ..ALL }, &logits), [1, 2, 3]);
        assert_eq!(drawn(Sampling { top_k: 99, ..ALL }, &logits), [0, 1, 2, 3]);
        // Probabilities are 0.055, 0.399, 0.147, 0.399 and 0.
        assert_eq!(drawn(Sampling { top_p: 0.39, ..ALL }, &logits), [1]);
        assert_eq!(drawn(Sampling { top_p: 0.41, ..ALL }, &logits), [1, 3]);
        assert_eq!(drawn(Sampling { top_p: 0.9, ..ALL }, &logits), [1, 2, 3]);
        assert_eq!(drawn(Sampling { min_p: 0.2, ..ALL }, &logits), [1, 2, 3]);
        // Two of three thirds: what top-k leaves counts as all.
        assert_eq!(drawn(Sampling { top_k: 2, top_p: 0.6, ..ALL }, &logits), [1, 3]);
        assert_eq!(drawn(Sampling { top_k: 2, top_p: 0.5, ..ALL }, &logits), [1]);
        assert_eq!(drawn(Sampling { temperature: 1e-300, ..ALL }, &[1.0, 1.5]), [1]);
    }

    #[test]
    fn draws_follow_the_probabilities() {
        let mut sampler = Sampler::new(Sampling { temperature: 2.0, ..ALL }, 7);
        let logits = [0.0, (4.0_f32).ln()];
        // Temperature 2 takes the square root of odds of 4.
        let ones = (0..9000).filter(|_| sampler.choose(&logits, &[]).unwrap() == 1).count();
        assert!((5800..6200).contains(&ones), "{ones}");
    }

    #[test]
    fn a_nucleus_beyond_the_first_tokens_is_found() {
        let logits = vec![0.0; 5000];
        let kept = Sampler::new(Sampling { top_p: 0.5, ..ALL }, 0);
        let candidates = (0..).zip(&logits).map(|(id, _)| Candidate { id, weight: 3.0 }).collect();
        let ids: Vec<u32> = kept.kept(candidates, 3.0).iter().map(|candidate| candidate.id).collect();
        assert_eq!(ids, (0..2500).collect::<Vec<u32>>());
    }

    #[test]
    fn one_seed_gives_one_sequence() {
        let logits: Vec<f32> = (0..600).map(|index| (index * 37 % 101) as f32 / 25.0).collect();
        let sampling = Sampling { temperature: 0.8, top_k: 40, top_p: 0.95, min_p: 0.02, ..ALL };
        let draw = |seed| {
            let mut sampler = Sampler::new(sampling, seed);
            (0..8).map(|_| sampler.choose(&logits, &[]).unwrap()).collect::<Vec<u32>>()
        };
        // To the token, on every machine.
        assert_eq!(draw(42), [251, 535, 363, 565, 131, 281, 161, 554]);
        assert_ne!(draw(42), draw(43));
    }

    #[test]
    fn logits_that_are_no_numbers_are_refused() {
        let (nan, infinity) = (f32::NAN, f32::INFINITY);
        assert_eq!(greedy(1.0, &[0.0, nan], &[]), Err(LogitsFault::Nan(1)));
        assert_eq!(greedy(1.0, &[0.0, infinity], &[]), Err(LogitsFault::Infinite(1)));
        assert_eq!(greedy(1.0, &[-infinity; 3], &[]), Err(LogitsFault::NoneAllowed));
        assert_eq!(greedy(1.0, &[], &[]), Err(LogitsFault::NoneAllowed));
    }

    #[test]
    fn sampling_is_told_in_words() {
        assert_eq!(Sampling::GREEDY.to_string(), "greedy");
        let sampling =
            Sampling { temperature: 0.7, top_k: 20, top_p: 0.8, min_p: 0.05, repetition_penalty: 1.1 };
        assert_eq!(
            sampling.to_string(),
            "temperature 0.7, top-k 20, top-p 0.8, min-p 0.05, repetition penalty 1.1"
        );
    }
}
