//! Typed access to a node's attributes, which remembers what was asked for.
//!
//! An attribute that no importer asked for would change a model's meaning unseen, so the caller refuses nodes for
//! which [`Attributes::unread`] is not `None`.

use crate::error::NodeError;
use crate::proto::{AttributeProto, GraphProto, TensorProto, attribute_type};
use std::collections::HashSet;

/// The attributes of one node, references to a function's parameters already replaced.
pub(crate) struct Attributes<'a> {
    /// Names and values. A value that comes from a function's parameter has another name of its own.
    all: Vec<(&'a str, &'a AttributeProto)>,
    read: Vec<bool>,
}

impl<'a> Attributes<'a> {
    /// Takes the attributes of a node; each name may stand once.
    pub(crate) fn new(all: Vec<(&'a str, &'a AttributeProto)>) -> Result<Self, NodeError> {
        let mut names = HashSet::new();
        if let Some((twice, _)) = all.iter().find(|(name, _)| !names.insert(*name)) {
            return Err(NodeError::DuplicateAttribute((*twice).to_owned()));
        }
        let read = vec![false; all.len()];
        Ok(Self { all, read })
    }

    /// The first attribute that nobody asked for.
    pub(crate) fn unread(&self) -> Option<&'a str> {
        let index = self.read.iter().position(|&read| !read)?;
        Some(self.all[index].0)
    }

    /// All of them, for a function to hand on.
    pub(crate) fn into_all(self) -> impl Iterator<Item = (&'a str, &'a AttributeProto)> {
        self.all.into_iter()
    }

    /// Whether the attribute is there; asking does not count as reading.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.all.iter().any(|&(given, _)| given == name)
    }

    /// Marks attributes as read that have no influence on the results at inference.
    pub(crate) fn ignore(&mut self, names: &[&str]) {
        for ((name, _), read) in self.all.iter().zip(&mut self.read) {
            *read |= names.contains(name);
        }
    }

    /// An integer.
    pub(crate) fn int(&mut self, name: &str) -> Result<Option<i64>, NodeError> {
        self.value(name, attribute_type::INT, "an integer", |attribute| attribute.i)
    }

    /// An integer that means yes or no.
    pub(crate) fn flag(&mut self, name: &'static str, default: bool) -> Result<bool, NodeError> {
        match self.int(name)? {
            None => Ok(default),
            Some(0) => Ok(false),
            Some(1) => Ok(true),
            Some(other) => {
                Err(NodeError::Value { name, value: other.to_string(), expected: "0 or 1".to_owned() })
            }
        }
    }

    /// A list of integers.
    pub(crate) fn ints(&mut self, name: &str) -> Result<Option<&'a [i64]>, NodeError> {
        self.value(name, attribute_type::INTS, "a list of integers", |attribute| {
            Some(attribute.ints.as_slice())
        })
    }

    /// A number.
    pub(crate) fn float(&mut self, name: &str) -> Result<Option<f32>, NodeError> {
        self.value(name, attribute_type::FLOAT, "a number", |attribute| attribute.f)
    }

    /// A list of numbers.
    pub(crate) fn floats(&mut self, name: &str) -> Result<Option<&'a [f32]>, NodeError> {
        self.value(name, attribute_type::FLOATS, "a list of numbers", |attribute| {
            Some(attribute.floats.as_slice())
        })
    }

    /// A text.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<&'a str>, NodeError> {
        let text = |attribute: &'a AttributeProto| std::str::from_utf8(attribute.s.as_deref()?).ok();
        self.value(name, attribute_type::STRING, "a text", text)
    }

    /// A list of texts.
    pub(crate) fn texts(&mut self, name: &str) -> Result<Option<Vec<&'a str>>, NodeError> {
        let texts = |attribute: &'a AttributeProto| {
            attribute.strings.iter().map(|text| std::str::from_utf8(text).ok()).collect()
        };
        self.value(name, attribute_type::STRINGS, "a list of texts", texts)
    }

    /// A tensor.
    pub(crate) fn tensor(&mut self, name: &str) -> Result<Option<&'a TensorProto>, NodeError> {
        self.value(name, attribute_type::TENSOR, "a tensor", |attribute| attribute.t.as_ref())
    }

    /// A subgraph.
    pub(crate) fn graph(&mut self, name: &str) -> Result<Option<&'a GraphProto>, NodeError> {
        self.value(name, attribute_type::GRAPH, "a graph", |attribute| attribute.g.as_ref())
    }

    fn value<T>(
        &mut self,
        name: &str,
        kind: i32,
        expected: &'static str,
        get: impl Fn(&'a AttributeProto) -> Option<T>,
    ) -> Result<Option<T>, NodeError> {
        let Some(index) = self.all.iter().position(|&(given, _)| given == name) else { return Ok(None) };
        self.read[index] = true;
        let attribute = self.all[index].1;
        // Writers of proto3 leave out a zero; files of IR version 1 leave out the kind.
        let fits = attribute.kind == kind || attribute.kind == attribute_type::UNDEFINED;
        let found = if fits { get(attribute).or_else(|| default_of(attribute, kind, &get)) } else { None };
        found.map(Some).ok_or_else(|| NodeError::AttributeType { name: name.to_owned(), expected })
    }
}

/// What a proto3 writer meant by a typed attribute without a value.
fn default_of<'a, T>(
    attribute: &AttributeProto,
    kind: i32,
    get: &impl Fn(&'a AttributeProto) -> Option<T>,
) -> Option<T> {
    static ZERO: std::sync::LazyLock<AttributeProto> = std::sync::LazyLock::new(|| AttributeProto {
        i: Some(0),
        f: Some(0.0),
        s: Some(bytes::Bytes::new()),
        ..AttributeProto::default()
    });
    if attribute.kind == kind { get(&ZERO) } else { None }
}
