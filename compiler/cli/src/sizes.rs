//! Sizes that a bundle leaves free: as the command line says them, or as data have them.

use crate::args::{DimArg, DimSize};
use crate::error::CliError;
use crate::host::HostTensor;
use drift_bundle::Bundle;
use drift_bundle::manifest::{FreeDim, IoTensor, SizeExpression, SizeTerm, Target};
use drift_runtime::Session;
use std::collections::BTreeSet;

/// Sizes that are tried for a dim that no axis says alone.
const MOST_TRIED: u64 = 1 << 20;

/// Sets what `--dim NAME=N` says of a bundle.
pub fn set(session: &mut Session, dims: &[DimArg]) -> Result<(), CliError> {
    for DimArg { name, size } in dims {
        let DimSize::Fixed(size) = size else {
            let reason = format!("--dim {name} needs one size; a bundle's bounds are those of its model");
            return Err(CliError::Usage(reason));
        };
        session.set_dim(name, *size)?;
    }
    Ok(())
}

/// What of an entry says how the shapes of its inputs follow from its dims.
#[derive(Clone, Debug)]
pub struct Free {
    dims: Vec<FreeDim>,
    sizes: Vec<SizeExpression>,
    inputs: Vec<IoTensor>,
}

impl Free {
    /// That of the entry of a bundle that a session has loaded.
    pub fn of(bundle: &Bundle, target: Target, session: &Session) -> Self {
        let name = &session.report().entry;
        let mut entries = bundle.manifest().entries.iter();
        let entry = entries.find(|entry| entry.target == target && entry.name == *name);
        let entry = entry.unwrap_or_else(|| unreachable!("loaded: the bundle has the entry `{name}`"));
        Self { dims: entry.dims.clone(), sizes: entry.sizes.clone(), inputs: entry.inputs.clone() }
    }

    /// Gives the dims the sizes that data for inputs of these names have; one that no data say keeps the size that it has.
    pub fn follow<'a>(
        &self,
        session: &mut Session,
        data: impl IntoIterator<Item = (&'a str, &'a HostTensor)>,
    ) -> Result<(), CliError> {
        let shapes: Vec<(&str, &[u64])> = data.into_iter().map(|(name, data)| (name, data.shape())).collect();
        for (dim, known) in self.dims.iter().zip(self.infer(&shapes)?) {
            if let Some(Known { size, .. }) = known {
                session.set_dim(&dim.name, size)?;
            }
        }
        Ok(())
    }

    /// The sizes of the dims, in their order, as far as the shapes of inputs say them.
    fn infer(&self, data: &[(&str, &[u64])]) -> Result<Vec<Option<Known>>, CliError> {
        let mut known: Vec<Option<Known>> = vec![None; self.dims.len()];
        let mut axes = self.axes(data);
        loop {
            let before = axes.len();
            let mut left = Vec::new();
            for axis in axes {
                if !axis.says(&self.dims, &mut known)? {
                    left.push(axis);
                }
            }
            // What one axis says of a dim may be all that another one lacked.
            if left.len() == before || left.is_empty() {
                return Ok(known);
            }
            axes = left;
        }
    }

    /// The free axes of all inputs that there are data for, of as many axes.
    fn axes<'a>(&'a self, data: &[(&'a str, &[u64])]) -> Vec<Axis<'a>> {
        let mut axes = Vec::new();
        for &(name, shape) in data {
            let tensor = self.inputs.iter().find(|tensor| tensor.name == name);
            let Some(tensor) = tensor.filter(|tensor| tensor.shape.len() == shape.len()) else { continue };
            axes.extend(tensor.free.iter().map(|free| Axis {
                tensor: name,
                axis: free.axis as usize,
                found: shape[free.axis as usize],
                size: &self.sizes[free.size as usize],
            }));
        }
        axes
    }
}

/// The size of a dim, and the input whose data say it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    size: u64,
    by: String,
}

/// A free axis of an input with what it has to be.
struct Axis<'a> {
    tensor: &'a str,
    axis: usize,
    found: u64,
    size: &'a SizeExpression,
}

impl Axis<'_> {
    /// Whether it has said all it can: holds where its dims are known, and says the one that is not.
    fn says(&self, dims: &[FreeDim], known: &mut [Option<Known>]) -> Result<bool, CliError> {
        let unknown: BTreeSet<u32> = self.dims().filter(|dim| known[*dim as usize].is_none()).collect();
        let mut sizes: Vec<u64> =
            known.iter().map(|known| known.as_ref().map_or(0, |known| known.size)).collect();
        let mut unknown = unknown.into_iter();
        let (Some(dim), None) = (unknown.next(), unknown.next()) else {
            return match self.dims().all(|dim| known[dim as usize].is_some()) {
                true if self.size.at(&sizes) == Ok(self.found) => Ok(true),
                true => Err(self.contradicts(dims, known, &sizes)),
                false => Ok(false),
            };
        };
        let (index, dim) = (dim as usize, &dims[dim as usize]);
        let mut fits = candidates(dim, self.size, self.found).filter(|size| {
            sizes[index] = *size;
            self.size.at(&sizes) == Ok(self.found)
        });
        match (fits.next(), fits.next()) {
            (None, _) => Err(CliError::NoSuchSize {
                tensor: self.tensor.to_owned(),
                axis: self.axis,
                found: self.found,
                dim: Box::new(dim.clone()),
            }),
            (Some(size), None) => {
                known[index] = Some(Known { size, by: self.tensor.to_owned() });
                Ok(true)
            }
            // Another axis may say which of them it is.
            (Some(_), Some(_)) => Ok(false),
        }
    }

    fn dims(&self) -> impl Iterator<Item = u32> {
        self.size.0.iter().filter_map(|term| match term {
            SizeTerm::Dim(dim) => Some(*dim),
            _ => None,
        })
    }

    fn contradicts(&self, dims: &[FreeDim], known: &[Option<Known>], sizes: &[u64]) -> CliError {
        let said = |dim: u32| {
            let known = known[dim as usize].as_ref()?;
            Some(format!("{} is {} in `{}`", dims[dim as usize].name, known.size, known.by))
        };
        let said: BTreeSet<String> = self.dims().filter_map(said).collect();
        CliError::SizeContradicted {
            tensor: self.tensor.to_owned(),
            axis: self.axis,
            found: self.found,
            size: self.size.in_words(dims).unwrap_or_default(),
            expected: self.size.at(sizes).unwrap_or_default(),
            said: said.into_iter().collect::<Vec<_>>().join(", "),
        }
    }
}

/// Sizes of a dim that may give `found`.
fn candidates(dim: &FreeDim, size: &SizeExpression, found: u64) -> impl Iterator<Item = u64> + use<> {
    let (least, most) = match *size.0 {
        // The dim itself.
        [_] if dim.holds(found) => (found, found),
        [_] => (1, 0),
        _ => (dim.least(), dim.most()),
    };
    (least..=most).step_by(usize::try_from(dim.step).unwrap_or(usize::MAX)).take(MOST_TRIED as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use drift_bundle::manifest::{FreeAxis, HostElement};

    /// `ids` is [batch, sequence], `mask` [batch, past + sequence], `past` [past, 8], `image` [2 * side].
    fn entry() -> Free {
        let dim = |name: &str, low, high, step| FreeDim { name: name.to_owned(), low, high, step };
        let (batch, past, sequence, side) =
            (SizeTerm::Dim(0), SizeTerm::Dim(1), SizeTerm::Dim(2), SizeTerm::Dim(3));
        let sizes: [&[SizeTerm]; 5] = [
            &[batch],
            &[past],
            &[sequence],
            &[past, sequence, SizeTerm::Add],
            &[side, SizeTerm::Const(2), SizeTerm::Mul],
        ];
        let tensor = |name: &str, shape: &[u64], free: &[(u32, u32)]| IoTensor {
            name: name.to_owned(),
            element: HostElement::F32,
            shape: shape.to_vec(),
            free: free.iter().map(|&(axis, size)| FreeAxis { axis, size }).collect(),
        };
        Free {
            dims: vec![
                dim("batch", 1, 4, 1),
                dim("past", 0, 16, 1),
                dim("sequence", 1, 8, 1),
                dim("side", 8, 64, 8),
            ],
            sizes: sizes.iter().map(|terms| SizeExpression(terms.to_vec())).collect(),
            inputs: vec![
                tensor("mask", &[4, 24], &[(0, 0), (1, 3)]),
                tensor("ids", &[4, 8], &[(0, 0), (1, 2)]),
                tensor("past", &[16, 8], &[(0, 1)]),
                tensor("image", &[128], &[(0, 4)]),
            ],
        }
    }

    fn sizes(data: &[(&str, &[u64])]) -> Result<Vec<Option<u64>>, String> {
        let known = entry().infer(data).map_err(|error| error.to_string())?;
        Ok(known.into_iter().map(|known| known.map(|known| known.size)).collect())
    }

    #[test]
    fn shapes_say_sizes_in_any_order() {
        let all: &[(&str, &[u64])] =
            &[("mask", &[2, 9]), ("ids", &[2, 3]), ("past", &[6, 8]), ("image", &[48])];
        assert_eq!(sizes(all), Ok(vec![Some(2), Some(6), Some(3), Some(24)]));
        // What follows from two is known once one is.
        assert_eq!(sizes(&all[..2]), Ok(vec![Some(2), Some(6), Some(3), None]));
        assert_eq!(sizes(&all[..1]), Ok(vec![Some(2), None, None, None]));
        assert_eq!(sizes(&[]), Ok(vec![None; 4]));
        assert_eq!(
            sizes(&[("ids", &[2, 3, 1]), ("other", &[1])]),
            Ok(vec![None; 4]),
            "data of no such shape"
        );
    }

    #[test]
    fn contradictions_are_named() {
        let refused = |data: &[(&str, &[u64])]| sizes(data).unwrap_err();
        assert_eq!(
            refused(&[("ids", &[2, 3]), ("past", &[6, 8]), ("mask", &[2, 8])]),
            "axis 1 of `mask` has 8 elements where past + sequence is 9: past is 6 in `past`, sequence is 3 in `ids`"
        );
        assert_eq!(
            refused(&[("ids", &[2, 3]), ("mask", &[1, 3])]),
            "axis 0 of `mask` has 1 elements where batch is 2: batch is 2 in `ids`"
        );
        assert_eq!(
            refused(&[("ids", &[2, 9])]),
            "axis 1 of `ids` has 9 elements, which no size of dim `sequence` gives; it may be 1 to 8"
        );
        assert!(refused(&[("image", &[52])]).contains("no size of dim `side` gives"));
        assert!(refused(&[("ids", &[2, 5]), ("mask", &[2, 3])]).contains("no size of dim `past`"));
    }
}
