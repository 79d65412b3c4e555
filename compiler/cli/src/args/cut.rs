//! `--inputs` and `--outputs`: where a model is cut.

use crate::args::CompileFlags;
use drift_ir::ElementType;
use drift_onnx::{Cut, CutInput};
use std::fmt;
use std::str::FromStr;

/// `NAME,NAME=TYPE[DIM,...],...`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutInputsArg {
    text: String,
    inputs: Vec<CutInput>,
}

/// `NAME,NAME,...`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutOutputsArg(Vec<String>);

impl FromStr for CutInputsArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let inputs = items(text)?.into_iter().map(input).collect::<Result<_, _>>()?;
        Ok(Self { text: text.to_owned(), inputs })
    }
}

impl fmt::Display for CutInputsArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for CutOutputsArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

impl FromStr for CutOutputsArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(items(text)?.into_iter().map(str::to_owned).collect()))
    }
}

/// What stands between commas, but for those between brackets.
fn items(text: &str) -> Result<Vec<&str>, String> {
    let mut depth = 0_usize;
    let split = text.split(|c| {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    });
    let items: Vec<&str> = split.collect();
    match items.iter().any(|item| item.is_empty()) {
        true => Err("expected NAME,NAME,..., names of values of the model".to_owned()),
        false => Ok(items),
    }
}

fn input(text: &str) -> Result<CutInput, String> {
    let shape = text.strip_suffix(']').and_then(|text| text.rsplit_once('='));
    let Some((name, shape)) = shape.filter(|(_, shape)| shape.contains('[')) else {
        return Ok(CutInput { name: text.to_owned(), declared: None });
    };
    let (ty, dims) = shape.split_once('[').unwrap_or((shape, ""));
    let element = ElementType::from_name(ty).ok_or_else(|| {
        let known: Vec<&str> = ElementType::ALL.iter().map(|element| element.name()).collect();
        format!("`{ty}` is no type of an input; there are {}", known.join(", "))
    })?;
    let dims: Vec<String> = match dims.trim() {
        "" => Vec::new(),
        dims => dims.split(',').map(|dim| dim.trim().to_owned()).collect(),
    };
    if name.is_empty() || dims.iter().any(String::is_empty) {
        return Err(format!("`{text}` is no NAME=TYPE[DIM,...], such as pixels=f32[1,3,224,224]"));
    }
    Ok(CutInput { name: name.to_owned(), declared: Some((element, dims)) })
}

impl CompileFlags {
    /// Where the model is cut.
    pub fn cut(&self) -> Cut {
        Cut {
            inputs: self.inputs.iter().flat_map(|list| list.inputs.iter().cloned()).collect(),
            outputs: self.outputs.iter().flat_map(|list| list.0.iter().cloned()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(text: &str) -> Result<Vec<CutInput>, String> {
        text.parse::<CutInputsArg>().map(|list| list.inputs)
    }

    #[test]
    fn names_may_have_types_and_shapes() {
        let found = inputs("a/b:0,pixels=f32[batch, 3,224],scalar=i64[],x=y").unwrap();
        let names: Vec<&str> = found.iter().map(|input| input.name.as_str()).collect();
        assert_eq!(names, ["a/b:0", "pixels", "scalar", "x=y"]);
        let dims = ["batch", "3", "224"].map(str::to_owned).to_vec();
        assert_eq!(found[1].declared, Some((ElementType::F32, dims)));
        assert_eq!(found[2].declared, Some((ElementType::I64, Vec::new())));
        assert!(found[0].declared.is_none() && found[3].declared.is_none());
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for text in ["", "a,,b", "a,", "x=f33[1]", "x=f32[1,]", "=f32[1]"] {
            assert!(inputs(text).is_err(), "{text}");
        }
        assert!(inputs("x=f33[1]").unwrap_err().contains("f16, "), "{:?}", inputs("x=f33[1]"));
        assert!("a,,b".parse::<CutOutputsArg>().is_err());
    }
}
