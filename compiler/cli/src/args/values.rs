//! The values that flags take, and how they are written.

use crate::hint;
use clap::ValueEnum;
use drift_bundle::manifest::Target;
use drift_onnx::Logits;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A GPU API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TargetArg {
    /// SPIR-V
    Vulkan,
    /// Metal Shading Language
    Metal,
    /// WGSL
    Webgpu,
    /// OpenCL C
    Opencl,
}

impl From<TargetArg> for Target {
    fn from(target: TargetArg) -> Self {
        match target {
            TargetArg::Vulkan => Self::Vulkan,
            TargetArg::Metal => Self::Metal,
            TargetArg::Webgpu => Self::WebGpu,
            TargetArg::Opencl => Self::OpenCl,
        }
    }
}

/// Type of arithmetic and activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PrecisionArg {
    /// Single
    F32,
    /// Half; sums stay in single
    F16,
    /// Half where calibration finds that it may be, single elsewhere
    Mixed,
}

/// What mixed precision tries a model on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CalibrateArg {
    /// The random inputs of `driftc verify`.
    #[default]
    Seeded,
    /// The tensors of a folder.
    Folder(PathBuf),
}

impl FromStr for CalibrateArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("expected `seeded` or a folder".to_owned()),
            "seeded" => Ok(Self::Seeded),
            folder => Ok(Self::Folder(PathBuf::from(folder))),
        }
    }
}

/// Type of stored weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WeightsArg {
    /// Single
    F32,
    /// Half
    F16,
    /// 8 bits for weights of matrix products, a scale for each output
    Q8,
    /// 4 bits for weights of matrix products, a scale for each block of 32 inputs
    Q4,
    /// 8 bits in attention, 4 bits in the embedding and feed-forward layers
    #[value(name = "844")]
    Q844,
}

/// Where activations live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LayoutArg {
    /// By cost
    #[default]
    Auto,
    /// Storage buffers
    Buffer,
    /// 2D textures
    Texture2d,
    /// Texel buffers
    ImageBuffer,
    /// Arrays of 2D textures
    TextureArray,
    /// 3D textures
    Texture3d,
}

/// Where weights live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum WeightsLayoutArg {
    /// As the profile prefers
    #[default]
    Auto,
    /// Storage buffers
    Buffer,
    /// Texel buffers
    ImageBuffer,
    /// 2D textures
    Texture2d,
    /// Four 2D textures, which are read together
    FourTextures,
}

/// Where inputs and outputs live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum IoArg {
    /// In the arena, with the other activations
    #[default]
    Arena,
    /// Each in memory of its own, over which nothing is written
    Own,
}

/// Rows of the logits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogitsArg {
    /// One for each token
    #[default]
    All,
    /// That of the last token; where an entry takes several, the input `count` says how many there are
    Last,
}

impl From<LogitsArg> for Logits {
    fn from(rows: LogitsArg) -> Self {
        match rows {
            LogitsArg::All => Self::All,
            LogitsArg::Last => Self::Last,
        }
    }
}

/// `MODEL.onnx`, or `NAME=MODEL.onnx`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelArg {
    /// The name of its entry, where one is given.
    pub entry: Option<String>,
    /// The model.
    pub path: PathBuf,
}

impl FromStr for ModelArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_name = is_entry_name;
        match text.split_once('=') {
            Some((name, "")) if is_name(name) => Err("expected NAME=MODEL.onnx".to_owned()),
            Some((name, path)) if is_name(name) => {
                Ok(Self { entry: Some(name.to_owned()), path: PathBuf::from(path) })
            }
            _ => Ok(Self { entry: None, path: PathBuf::from(text) }),
        }
    }
}

/// The size of a free dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DimSize {
    /// One size.
    Fixed(u64),
    /// Any size from the first to the second, both included.
    Range(u64, u64),
    /// Any multiple of the third from the first to the second, both included.
    Steps(u64, u64, u64),
}

/// `NAME=N`, `NAME=LO..HI` or `NAME=LO..HI/STEP`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DimArg {
    /// Name as the model writes it.
    pub name: String,
    /// Its size.
    pub size: DimSize,
}

impl FromStr for DimArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The name may itself hold an equals sign or be an expression; a size never does.
        let (name, size) = text
            .rsplit_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| "expected NAME=N, such as batch=1 or sequence=128".to_owned())?;
        let number = |digits: &str| match digits.parse::<u64>() {
            Ok(number) => Ok(number),
            Err(_) => Err(format!("`{digits}` is not a size; expected NAME=N")),
        };
        let size = match size.split_once("..") {
            None => DimSize::Fixed(number(size)?),
            Some((low, high)) => {
                let (high, step) = high.split_once('/').unwrap_or((high, "1"));
                range(number(low)?, number(high)?, number(step)?)?
            }
        };
        Ok(Self { name: name.to_owned(), size })
    }
}

/// The sizes of a range that are multiples of `step`.
fn range(low: u64, high: u64, step: u64) -> Result<DimSize, String> {
    let least = low.checked_next_multiple_of(step);
    let most = high.checked_div(step).map(|steps| steps * step);
    let (Some(least), Some(most)) = (least, most) else {
        return Err(format!("{low}..{high}/{step}: a step is at least 1"));
    };
    match step {
        _ if least > most && step == 1 => Err(format!("the range {low}..{high} is empty")),
        _ if least > most => Err(format!("the range {low}..{high} has no multiple of {step}")),
        _ if least == most => Ok(DimSize::Fixed(least)),
        1 => Ok(DimSize::Range(low, high)),
        step => Ok(DimSize::Steps(least, most, step)),
    }
}

/// `NAME`, or `NAME:DIM=N,DIM=N`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryArg {
    /// The entry's name in the bundle.
    pub name: String,
    /// Its sizes, which win over those for all entries.
    pub dims: Vec<DimArg>,
}

impl FromStr for EntryArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, dims) = text.split_once(':').unwrap_or((text, ""));
        if !is_entry_name(name) {
            let reason = format!("`{name}` is no name of an entry: letters, digits, `_` and `-`");
            return Err(reason);
        }
        let dims: Vec<DimArg> = match dims {
            "" => Vec::new(),
            dims => dims.split(',').map(DimArg::from_str).collect::<Result<_, _>>()?,
        };
        match (1..dims.len()).find(|&at| dims[..at].iter().any(|earlier| earlier.name == dims[at].name)) {
            Some(twice) => Err(format!("{} is given twice", dims[twice].name)),
            None => Ok(Self { name: name.to_owned(), dims }),
        }
    }
}

/// Whether an entry can be called so.
fn is_entry_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

/// `NAME=N`, how many places a size gets that data decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundArg {
    /// The value or node as the model writes it, after its entry's name where there are several.
    pub name: String,
    /// Places.
    pub places: u64,
}

impl FromStr for BoundArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The name may itself hold an equals sign; a number never does.
        let parts = text.rsplit_once('=').filter(|(name, _)| !name.is_empty());
        let (name, places) = parts.ok_or_else(|| "expected NAME=N, such as selected=100".to_owned())?;
        match places.parse::<u64>() {
            Ok(places) if places > 0 => Ok(Self { name: name.to_owned(), places }),
            _ => Err(format!("`{places}` is no number of places; expected NAME=N, N at least 1")),
        }
    }
}

/// `NAME=VALUE`, or `NAME=FILE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindArg {
    /// The input's name as the model writes it, after its entry's where there are several.
    pub name: String,
    /// One element, or the name of a file.
    pub value: String,
}

impl FromStr for BindArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() && !value.is_empty() => {
                Ok(Self { name: name.to_owned(), value: value.to_owned() })
            }
            _ => Err("expected NAME=VALUE or NAME=FILE, such as rate=16000 or mask=mask.npy".to_owned()),
        }
    }
}

/// `NAME=FILE`, where the name may hold a `=` itself: which one parts them is known with the bundle's inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputArg {
    text: String,
}

impl InputArg {
    /// Name and file, where the name is one of `known`: the longest that fits. Otherwise what stands before the first `=`.
    pub fn split<'a>(&self, known: impl Iterator<Item = &'a str>) -> (&str, &Path) {
        let fits = |name: &&str| self.text.strip_prefix(name).is_some_and(|rest| rest.starts_with('='));
        let end = known.filter(fits).map(str::len).max();
        let end = end.or_else(|| self.text.find('=')).unwrap_or(self.text.len());
        (&self.text[..end], Path::new(self.text.get(end + 1..).unwrap_or_default()))
    }
}

impl FromStr for InputArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, file)) if !name.is_empty() && !file.is_empty() => Ok(Self { text: text.to_owned() }),
            _ => Err("expected NAME=FILE, such as image=cat.npy".to_owned()),
        }
    }
}

/// A stage to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Emit {
    /// The graph after simplification and fusion.
    Graph,
    /// The same as a Graphviz picture.
    Dot,
    /// Layouts of all values.
    Layout,
    /// Dispatches in order.
    Program,
    /// The memory plan.
    Memory,
    /// Every shader as a file in a folder.
    Shaders(PathBuf),
}

impl FromStr for Emit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.split_once(':')) {
            ("graph", _) => Ok(Self::Graph),
            ("dot", _) => Ok(Self::Dot),
            ("layout", _) => Ok(Self::Layout),
            ("program", _) => Ok(Self::Program),
            ("memory", _) => Ok(Self::Memory),
            (_, Some(("shaders", folder))) if !folder.is_empty() => Ok(Self::Shaders(PathBuf::from(folder))),
            _ => {
                let known = ["graph", "dot", "layout", "program", "memory", "shaders:DIR"];
                let meant = hint::text(&hint::alike(text, known))
                    .map_or_else(String::new, |hint| format!("; {hint}"));
                Err(format!("expected graph, dot, layout, program, memory or shaders:DIR{meant}"))
            }
        }
    }
}
