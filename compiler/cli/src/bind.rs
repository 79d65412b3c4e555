//! `--bind NAME=VALUE|FILE`: inputs of a model that become constants of it.

use crate::args::BindArg;
use crate::error::CliError;
use crate::host::shape_text;
use crate::tensor_file;
use bytes::Bytes;
use drift_ir::{ElementType, Tensor};
use drift_onnx::{DeclaredDim, DimBinding, ModelSource, Port};
use half::f16;
use std::collections::BTreeMap;
use std::path::Path;

/// Sizes of free dimensions, by name.
pub type Dims = BTreeMap<String, DimBinding>;

/// What the flags decide about one model's inputs.
#[derive(Debug, Default)]
pub struct Bindings {
    /// Sizes of free dimensions.
    pub dims: Dims,
    /// Inputs that became constants, and what they are.
    pub constants: BTreeMap<String, Tensor>,
}

/// Binds inputs of a model. `dims` are the sizes given for it; those that the constants' shapes give join them.
pub fn apply(
    source: &mut ModelSource,
    path: &Path,
    binds: &[(&str, &BindArg)],
    dims: Dims,
) -> Result<Bindings, CliError> {
    let mut bindings = Bindings { dims, constants: BTreeMap::new() };
    for (name, bind) in binds {
        let ports = drift_onnx::inputs(source).map_err(|error| CliError::model(path, error))?;
        let Some(port) = ports.iter().find(|port| port.name == *name) else {
            if bindings.constants.contains_key(*name) {
                return Err(CliError::InputTwice((*name).to_owned()));
            }
            let known = ports.into_iter().map(|port| port.name).collect();
            return Err(CliError::UnknownInput { name: (*name).to_owned(), known });
        };
        let value = value(port, bind)?;
        bindings.add(source, path, (name, value))?;
    }
    Ok(bindings)
}

impl Bindings {
    /// Makes an input a constant. Sizes that its shape gives join the others.
    pub fn add(
        &mut self,
        source: &mut ModelSource,
        path: &Path,
        (name, value): (&str, Tensor),
    ) -> Result<(), CliError> {
        let sizes = source.bind(name, &value).map_err(|error| CliError::model(path, error))?;
        join(&mut self.dims, sizes, name)?;
        self.constants.insert(name.to_owned(), value);
        // Sizes that only constants had are no dimensions of the model any more.
        let ports = drift_onnx::inputs(source).map_err(|error| CliError::model(path, error))?;
        let all = drift_onnx::free_dims(&ports);
        self.dims.retain(|name, _| all.contains(name));
        Ok(())
    }
}

/// The flags that are for each of several models, by the name there: `ENTRY.NAME=...` is for one of them and wins, `NAME=...` for
/// all that have such a name. One that no model has is left to the first, which refuses it.
pub fn of_entries<'a, T>(
    flags: &'a [T],
    name_of: impl Fn(&'a T) -> &'a str,
    entries: &[String],
    has: impl Fn(usize, &str) -> bool,
) -> Vec<Vec<(&'a str, &'a T)>> {
    let mut found: Vec<Vec<(&str, &T)>> = entries.iter().map(|_| Vec::new()).collect();
    for flag in flags {
        let name = name_of(flag);
        let mut used = false;
        for (index, entry) in entries.iter().enumerate() {
            let own = format!("{entry}.{name}");
            if has(index, name) && !flags.iter().any(|other| name_of(other) == own) {
                found[index].push((name, flag));
                used = true;
            } else if let Some(own) = name.strip_prefix(entry.as_str()).and_then(|own| own.strip_prefix('.'))
                && has(index, own)
            {
                found[index].push((own, flag));
                used = true;
            }
        }
        if !used {
            found[0].push((name, flag));
        }
    }
    found
}

/// Sizes from a constant's shape must agree with those given.
fn join(dims: &mut Dims, sizes: Dims, input: &str) -> Result<(), CliError> {
    for (name, size) in sizes {
        let DimBinding::Fixed(wanted) = size else { continue };
        if let Some(&given) = dims.get(&name)
            && !given.allows(wanted)
        {
            let by = format!("--bind {input}");
            return Err(CliError::DimContradicted { dim: name, by, size: wanted, given });
        }
        dims.insert(name, size);
    }
    Ok(())
}

/// What an input is bound to: a file's tensor, or one element.
fn value(port: &Port, bind: &BindArg) -> Result<Tensor, CliError> {
    let path = Path::new(&bind.value);
    if path.extension().is_some_and(|extension| extension == "npy" || extension == "pb") {
        return Ok(tensor_file::read(path)?.to_ir()?);
    }
    let refused = |reason: String| CliError::Bind { name: port.name.clone(), reason };
    let dims = port.dims.as_deref().unwrap_or_default();
    if let Some(DeclaredDim::Fixed(size)) = dims.iter().find(|dim| matches!(dim, DeclaredDim::Fixed(2..))) {
        let reason =
            format!("an axis has the size {size}, and a value is one element; give a .npy or .pb file");
        return Err(refused(reason));
    }
    let shape = vec![1; dims.len()];
    let bytes = element(port.element, &bind.value).ok_or_else(|| {
        refused(format!(
            "`{}` is no value of type {}, nor a .npy or .pb file",
            bind.value,
            port.element.name()
        ))
    })?;
    Tensor::new(port.element, shape.clone(), Bytes::from(bytes))
        .map_err(|error| refused(format!("{error} ({})", shape_text(&shape))))
}

/// The bytes of one element, if the text is one.
fn element(ty: ElementType, text: &str) -> Option<Vec<u8>> {
    let float = || text.parse::<f64>().ok();
    Some(match ty {
        ElementType::F64 => float()?.to_le_bytes().to_vec(),
        ElementType::F32 => (float()? as f32).to_le_bytes().to_vec(),
        ElementType::F16 => f16::from_f64(float()?).to_le_bytes().to_vec(),
        ElementType::I64 => text.parse::<i64>().ok()?.to_le_bytes().to_vec(),
        ElementType::I32 => text.parse::<i32>().ok()?.to_le_bytes().to_vec(),
        ElementType::I8 => text.parse::<i8>().ok()?.to_le_bytes().to_vec(),
        ElementType::U8 => vec![text.parse().ok()?],
        ElementType::I16 => text.parse::<i16>().ok()?.to_le_bytes().to_vec(),
        ElementType::U16 => text.parse::<u16>().ok()?.to_le_bytes().to_vec(),
        ElementType::U32 => text.parse::<u32>().ok()?.to_le_bytes().to_vec(),
        ElementType::U64 => text.parse::<u64>().ok()?.to_le_bytes().to_vec(),
        ElementType::Bool => vec![match text {
            "true" | "True" | "1" => 1,
            "false" | "False" | "0" => 0,
            _ => return None,
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(element: ElementType, dims: Vec<DeclaredDim>) -> Port {
        Port { name: "x".to_owned(), element, is_double: false, form: None, dims: Some(dims) }
    }

    fn check(element: ElementType, dims: Vec<DeclaredDim>, text: &str) -> Result<Tensor, String> {
        let bind: BindArg = format!("x={text}").parse().unwrap();
        value(&port(element, dims), &bind).map_err(|error| error.to_string())
    }

    #[test]
    fn one_element_fills_a_scalar_and_axes_of_one() {
        let free = DeclaredDim::Free("n".to_owned());
        let rate = check(ElementType::I64, vec![], "16000").unwrap();
        assert_eq!((rate.shape(), rate.to_i64_vec()), (&[][..], vec![16000]));
        let scale = check(ElementType::F32, vec![DeclaredDim::Fixed(1), free], "-inf").unwrap();
        assert_eq!((scale.shape(), scale.to_f64_vec()), (&[1, 1][..], vec![f64::NEG_INFINITY]));
        assert_eq!(check(ElementType::Bool, vec![], "true").unwrap().to_i64_vec(), [1]);
        assert_eq!(check(ElementType::F16, vec![], "0.5").unwrap().to_f64_vec(), [0.5]);
    }

    #[test]
    fn what_is_no_element_is_refused() {
        let message = |ty, text| check(ty, vec![], text).unwrap_err();
        assert!(message(ElementType::I64, "1.5").contains("`1.5` is no value of type i64"));
        assert!(message(ElementType::U8, "256").contains("`256` is no value of type u8"));
        assert!(message(ElementType::Bool, "2").contains("bool"));
        assert!(message(ElementType::F32, "nowhere.npy").contains("cannot read"));
        let row = check(ElementType::F32, vec![DeclaredDim::Fixed(3)], "1").unwrap_err();
        assert!(row.contains("size 3") && row.contains(".npy"), "{row}");
    }
}
