//! Binds an input to a constant: from then on the model has it as an initializer.
//!
//! Nothing that reads the model needs to know: an initializer is no input, it folds, decides branches and gives sizes.

use crate::data_type::DataType;
use crate::error::ImportError;
use crate::interface::{self, DimBinding, Port, infer_dims_from_inputs};
use crate::source::ModelSource;
use crate::tensor;
use bytes::Bytes;
use drift_ir::{ElementType, Tensor};
use std::collections::BTreeMap;

impl ModelSource {
    /// Makes the input called `name` the constant `value`, whose type and shape must be those that the model declares.
    /// Returns the sizes that the shape gives to free dimensions, which other inputs may have too.
    pub fn bind(&mut self, name: &str, value: &Tensor) -> Result<BTreeMap<String, DimBinding>, ImportError> {
        let dims = infer_dims_from_inputs(self, &[(name, value.shape())])?;
        let port = interface::inputs(self)?.into_iter().find(|port| port.name == name);
        // Callers give doubles as f32; in the file they are doubles, so that the operators that read them agree.
        let value = match &port {
            Some(port) if port.is_double => &doubles(value),
            _ => value,
        };
        if let Some(narrow) =
            port.as_ref().and_then(|port| port.form).map(DataType::of_form).filter(|ty| ty.is_narrow())
        {
            let reason = format!("an input of {} cannot be made a constant", narrow.name());
            return Err(ImportError::InputData { input: name.to_owned(), reason });
        }
        let mismatch = |port: &Port| !port.is_double && port.element != value.element();
        if let Some(port) = port.as_ref().filter(|port| mismatch(port)) {
            let (wanted, found) = (port.element.name(), value.element().name());
            let reason = format!("the value is {found}, the model wants {wanted}");
            return Err(ImportError::InputData { input: name.to_owned(), reason });
        }
        let graph = self.model_mut().graph.as_mut().ok_or(ImportError::NoGraph)?;
        graph.initializer.push(tensor::proto(name, value));
        Ok(dims)
    }
}

/// Operands for which exporters write constants: sizes, axes, bounds, scales of images and the like, by operator.
const SIZING: &[(&str, &[usize])] = &[
    ("AffineGrid", &[1]),
    ("BlackmanWindow", &[0]),
    ("CenterCropPad", &[1]),
    ("Col2Im", &[1, 2]),
    ("Compress", &[1]),
    ("ConstantOfShape", &[0]),
    ("CumProd", &[1]),
    ("CumSum", &[1]),
    ("DFT", &[1, 2]),
    ("Dropout", &[1, 2]),
    ("Expand", &[1]),
    ("HammingWindow", &[0]),
    ("HannWindow", &[0]),
    ("If", &[0]),
    ("Loop", &[0, 1]),
    ("MaxUnpool", &[2]),
    ("MelWeightMatrix", &[0, 1, 2, 3, 4]),
    ("NonMaxSuppression", &[2, 3, 4]),
    ("OneHot", &[1, 2]),
    ("Pad", &[1, 2, 3]),
    ("Range", &[0, 1, 2]),
    ("ReduceL1", &[1]),
    ("ReduceL2", &[1]),
    ("ReduceLogSum", &[1]),
    ("ReduceLogSumExp", &[1]),
    ("ReduceMax", &[1]),
    ("ReduceMean", &[1]),
    ("ReduceMin", &[1]),
    ("ReduceProd", &[1]),
    ("ReduceSum", &[1]),
    ("ReduceSumSquare", &[1]),
    ("Reshape", &[1]),
    ("Resize", &[1, 2, 3]),
    ("STFT", &[1, 3]),
    ("SequenceAt", &[1]),
    ("SequenceErase", &[1]),
    ("SequenceInsert", &[2]),
    ("Slice", &[1, 2, 3, 4]),
    ("Split", &[1]),
    ("SplitToSequence", &[1]),
    ("Squeeze", &[1]),
    ("Tile", &[1]),
    ("TopK", &[1]),
    ("Trilu", &[1]),
    ("Unsqueeze", &[1]),
    ("Upsample", &[1]),
];

/// Inputs that a node reads where exporters write constants, such as axes, shapes and scales of images.
pub fn sizing_inputs(source: &ModelSource) -> Result<Vec<String>, ImportError> {
    let graph = source.model().graph.as_ref().ok_or(ImportError::NoGraph)?;
    let sizes = |name: &str| {
        graph.node.iter().any(|node| {
            let (_, places) = SIZING.iter().find(|(op, _)| *op == node.op_type).unwrap_or(&("", &[]));
            places.iter().any(|&at| node.input.get(at).is_some_and(|input| input == name))
        })
    };
    let inputs = interface::runtime_inputs(graph).map(|info| &info.name);
    Ok(inputs.filter(|name| sizes(name)).cloned().collect())
}

fn doubles(value: &Tensor) -> Tensor {
    let bytes: Vec<u8> = value.to_f64_vec().iter().flat_map(|value| value.to_le_bytes()).collect();
    Tensor::new(ElementType::F64, value.shape(), Bytes::from(bytes))
        .unwrap_or_else(|_| unreachable!("a double for each element"))
}
