//! The free dimensions of a graph, in the order in which they were met.

use super::{DimError, Symbol, SymbolId};
use std::collections::BTreeMap;

/// Symbols of one graph. Ids are dense and follow the order of [`Symbols::intern`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Symbols {
    symbols: Vec<Symbol>,
    by_name: BTreeMap<String, SymbolId>,
}

impl Symbols {
    /// The symbol of that name; a new one has bounds `0..`.
    pub fn intern(&mut self, name: &str) -> SymbolId {
        if let Some(&symbol) = self.by_name.get(name) {
            return symbol;
        }
        let symbol = SymbolId(u32::try_from(self.symbols.len()).expect("fewer than 2^32 symbols"));
        self.symbols.push(Symbol { name: name.to_owned(), low: 0, high: None, steps_of: None });
        self.by_name.insert(name.to_owned(), symbol);
        symbol
    }

    /// The symbol of that name, if there is one.
    pub fn find(&self, name: &str) -> Option<SymbolId> {
        self.by_name.get(name).copied()
    }

    /// A symbol's name and bounds; `None` for an id of another graph.
    pub fn get(&self, symbol: SymbolId) -> Option<&Symbol> {
        self.symbols.get(symbol.0 as usize)
    }

    /// A symbol's name; `?N` for an id of another graph.
    pub fn name(&self, symbol: SymbolId) -> String {
        self.get(symbol).map_or_else(|| format!("?{}", symbol.0), |symbol| symbol.name.clone())
    }

    /// The symbol that counts the steps of a dim whose sizes are multiples of `step`, which is above one.
    pub fn intern_steps(&mut self, dim: &str, step: u64) -> SymbolId {
        let symbol = self.intern(&format!("{dim}/{step}"));
        if let Some(entry) = self.symbols.get_mut(symbol.0 as usize) {
            entry.steps_of = Some((dim.to_owned(), step));
        }
        symbol
    }

    /// Sets the sizes that a symbol may take, both inclusive.
    pub fn set_bounds(&mut self, symbol: SymbolId, low: u64, high: Option<u64>) -> Result<(), DimError> {
        let entry = self
            .symbols
            .get_mut(symbol.0 as usize)
            .ok_or_else(|| DimError::Unbound(format!("?{}", symbol.0)))?;
        if high.is_some_and(|high| high < low) {
            return Err(DimError::OutOfBounds { name: entry.name.clone(), low, high, value: low });
        }
        entry.low = low;
        entry.high = high;
        Ok(())
    }

    /// Smallest and largest size of a symbol; `0..` for an id of another graph.
    pub fn bounds(&self, symbol: SymbolId) -> (u64, Option<u64>) {
        self.get(symbol).map_or((0, None), |symbol| (symbol.low, symbol.high))
    }

    /// All symbols in order.
    pub fn iter(&self) -> impl Iterator<Item = (SymbolId, &Symbol)> {
        (0u32..).map(SymbolId).zip(&self.symbols)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.symbols.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.symbols.is_empty()
    }
}
