//! Dim arithmetic, by example.

use super::*;

fn symbols() -> (Symbols, Dim, Dim) {
    let mut symbols = Symbols::default();
    let s = Dim::symbol(symbols.intern("s"));
    let t = Dim::symbol(symbols.intern("t"));
    (symbols, s, t)
}

fn c(size: u64) -> Dim {
    Dim::Const(size)
}

#[test]
fn equal_expressions_compare_equal() {
    let (_, s, t) = symbols();
    assert_eq!(s.add(&s).unwrap(), c(2).mul(&s).unwrap());
    assert_eq!(s.add(&c(0)).unwrap(), s);
    assert_eq!(s.mul(&c(1)).unwrap(), s);
    assert_eq!(s.add(&c(1)).unwrap().sub(&c(1)).unwrap(), s);
    assert_eq!(s.add(&t).unwrap(), t.add(&s).unwrap());
    let square = s.add(&t).unwrap();
    let square = square.mul(&square).unwrap();
    let expanded = s.mul(&s).unwrap().add(&t.mul(&t).unwrap()).unwrap();
    let expanded = expanded.add(&t.mul(&s).unwrap().mul(&c(2)).unwrap()).unwrap();
    assert_eq!(square, expanded);
    assert_eq!(s.sub(&s).unwrap(), c(0));
}

#[test]
fn quotients_cancel_what_divides() {
    let (_, s, t) = symbols();
    let volume = s.mul(&t).unwrap().mul(&c(768)).unwrap();
    assert_eq!(volume.floor_div(&t.mul(&c(64)).unwrap()).unwrap(), s.mul(&c(12)).unwrap());
    assert_eq!(s.mul(&c(4)).unwrap().add(&c(7)).unwrap().floor_div(&c(4)).unwrap(), s.add(&c(1)).unwrap());
    let half = s.floor_div(&c(2)).unwrap();
    assert_eq!(half, s.floor_div(&c(2)).unwrap());
    assert_ne!(half, s);
    assert_eq!(c(7).floor_div(&c(2)).unwrap(), c(3));
    assert_eq!(IntExpr::Const(-7).floor_div(&IntExpr::Const(2)).unwrap(), IntExpr::Const(-4));
}

#[test]
fn extremes_are_decided_by_sign() {
    let (_, s, t) = symbols();
    assert_eq!(s.max(&c(0)).unwrap(), s);
    assert_eq!(s.min(&s.add(&c(3)).unwrap()).unwrap(), s);
    assert_eq!(s.max(&t).unwrap(), t.max(&s).unwrap());
    assert_eq!(s.add(&t).unwrap().max(&t).unwrap(), s.add(&t).unwrap());
}

#[test]
fn hostile_arithmetic_is_an_error() {
    let (_, s, t) = symbols();
    assert_eq!(c(2).sub(&c(3)), Err(DimError::Negative { value: -1 }));
    assert_eq!(c(u64::MAX).add(&c(1)), Err(DimError::Overflow));
    assert_eq!(c(1 << 40).mul(&c(1 << 40)), Err(DimError::Overflow));
    assert_eq!(s.floor_div(&c(0)), Err(DimError::DivisionByZero));
    assert_eq!(Dim::expr(&[DimTerm::Add]), Err(DimError::Malformed));
    assert_eq!(Dim::expr(&[]), Err(DimError::Malformed));
    assert_eq!(Dim::expr(&[DimTerm::Const(1), DimTerm::Const(2)]), Err(DimError::Malformed));
    assert_eq!(IntExpr::Const(i64::MIN).floor_div(&IntExpr::Const(-1)), Err(DimError::Overflow));
    let mut power = s.add(&t).unwrap();
    let outcome = loop {
        match power.mul(&power) {
            Ok(next) => power = next,
            Err(error) => break error,
        }
    };
    assert_eq!(outcome, DimError::TooComplex);
}

#[test]
fn substitution_and_evaluation_agree() {
    let (symbols, s, t) = symbols();
    let [s_id, t_id] = [s.as_symbol().unwrap(), t.as_symbol().unwrap()];
    let dim = s.mul(&c(3)).unwrap().add(&t).unwrap().floor_div(&c(2)).unwrap().max(&c(5)).unwrap();
    let bound = dim.substitute(s_id, 4).unwrap().substitute(t_id, 3).unwrap();
    assert_eq!(bound, c(7));
    assert_eq!(dim.evaluate(|id| if id == s_id { Some(4) } else { Some(3) }).unwrap(), 7);
    assert!(dim.evaluate(|_| None).is_err());
    assert_eq!(dim.display(&symbols).to_string(), "max(floor_div(3*s+t,2),5)");
}

#[test]
fn ranges_follow_bounds() {
    let (mut symbols, s, t) = symbols();
    symbols.set_bounds(s.as_symbol().unwrap(), 1, Some(8)).unwrap();
    let dim = s.mul(&c(2)).unwrap().add(&c(1)).unwrap();
    assert_eq!(dim.range(&symbols), (3, Some(17)));
    assert_eq!(dim.add(&t).unwrap().range(&symbols), (3, None));
    assert_eq!(c(9).sub(&s).unwrap().range(&symbols), (1, Some(8)));
    assert_eq!(s.floor_div(&c(3)).unwrap().range(&symbols), (0, Some(2)));
    assert!(s.differs_from(&c(9), &symbols));
    assert!(!s.differs_from(&c(8), &symbols));
    assert!(symbols.set_bounds(s.as_symbol().unwrap(), 3, Some(2)).is_err());
}

#[test]
fn display_keeps_meaning() {
    let (symbols, s, t) = symbols();
    let shown = |dim: Dim| dim.display(&symbols).to_string();
    assert_eq!(shown(s.add(&c(1)).unwrap().mul(&t).unwrap()), "s*t+t");
    assert_eq!(shown(s.sub(&t).unwrap()), "s-t");
    assert_eq!(shown(c(5).sub(&s).unwrap()), "5-s");
    assert_eq!(shown(s.sub(&c(2)).unwrap()), "s-2");
}

#[test]
fn a_symbol_is_interned_once() {
    let mut symbols = Symbols::default();
    let a = symbols.intern("batch");
    assert_eq!(symbols.intern("batch"), a);
    assert_eq!(symbols.len(), 1);
    assert_eq!(symbols.find("other"), None);
}
