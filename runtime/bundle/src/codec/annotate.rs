//! The format as `docs/bundle-format.md` has it, written a second time: an encoder that says what each byte means.
//!
//! A line a value: its bytes in hexadecimal, its path, and `= VALUE` as JSON has it for what a reader finds, or `: WORDS` for what
//! stands before it (the number of items, which variant of an enum, whether there is a value).

use serde::ser::{self, Serialize};
use std::fmt::{self, Display};

/// The lines of a value.
pub(super) fn lines(value: &impl Serialize) -> Result<Vec<String>, Unknown> {
    let mut writer = Writer::default();
    value.serialize(&mut writer)?;
    Ok(writer.lines)
}

/// The bytes that lines begin with.
pub(super) fn bytes(lines: &str) -> Vec<u8> {
    let hex = lines.lines().filter_map(|line| line.split("  ").next()).flat_map(str::split_whitespace);
    hex.filter_map(|byte| u8::from_str_radix(byte, 16).ok()).collect()
}

/// A kind of value that the format of bundles does not have.
#[derive(Debug)]
pub(super) struct Unknown(String);

impl Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unknown {}

impl ser::Error for Unknown {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

#[derive(Default)]
pub(super) struct Writer {
    lines: Vec<String>,
    path: String,
}

/// A number in as few bytes as hold it: itself below 251, else a mark and two, four or eight bytes, the low one first.
fn number(value: u64) -> Vec<u8> {
    match value {
        0..251 => vec![value as u8],
        251..0x1_0000 => [&[251][..], &(value as u16).to_le_bytes()].concat(),
        0x1_0000..0x1_0000_0000 => [&[252][..], &(value as u32).to_le_bytes()].concat(),
        _ => [&[253][..], &value.to_le_bytes()].concat(),
    }
}

impl Writer {
    fn line(&mut self, bytes: &[u8], meaning: &str) {
        let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.lines.push(format!("{}  {}{meaning}", hex.join(" "), self.path));
    }

    fn within(&mut self, step: &str, value: &(impl Serialize + ?Sized)) -> Result<(), Unknown> {
        let length = self.path.len();
        self.path.push_str(if length == 0 { step.trim_start_matches('.') } else { step });
        value.serialize(&mut *self)?;
        self.path.truncate(length);
        Ok(())
    }

    fn unknown<T>(&self) -> Result<T, Unknown> {
        Err(Unknown(format!("`{}` is of a kind that the format does not have", self.path)))
    }
}

/// What several values are in: the items of a list, or fields.
pub(super) struct Several<'a> {
    writer: &'a mut Writer,
    next: usize,
    /// The variant that has the fields.
    variant: Option<&'static str>,
}

impl Several<'_> {
    fn item(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), Unknown> {
        let step = format!("[{}]", self.next);
        self.next += 1;
        self.writer.within(&step, value)
    }

    fn field(&mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Result<(), Unknown> {
        let step = self.variant.map_or_else(|| format!(".{name}"), |variant| format!(".{variant}.{name}"));
        self.writer.within(&step, value)
    }
}

impl<'a> ser::Serializer for &'a mut Writer {
    type Ok = ();
    type Error = Unknown;
    type SerializeSeq = Several<'a>;
    type SerializeTuple = Several<'a>;
    type SerializeTupleStruct = Several<'a>;
    type SerializeTupleVariant = ser::Impossible<(), Unknown>;
    type SerializeMap = ser::Impossible<(), Unknown>;
    type SerializeStruct = Several<'a>;
    type SerializeStructVariant = Several<'a>;

    fn serialize_bool(self, value: bool) -> Result<(), Unknown> {
        self.line(&[value.into()], &format!(" = {value}"));
        Ok(())
    }

    fn serialize_u32(self, value: u32) -> Result<(), Unknown> {
        self.serialize_u64(value.into())
    }

    fn serialize_u64(self, value: u64) -> Result<(), Unknown> {
        self.line(&number(value), &format!(" = {value}"));
        Ok(())
    }

    fn serialize_str(self, value: &str) -> Result<(), Unknown> {
        self.line(&[&number(value.len() as u64)[..], value.as_bytes()].concat(), &format!(" = {value:?}"));
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Unknown> {
        self.line(&[0], " = null");
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Unknown> {
        self.line(&[1], ": is there");
        value.serialize(self)
    }

    fn serialize_unit_variant(self, _: &'static str, index: u32, name: &'static str) -> Result<(), Unknown> {
        self.line(&number(index.into()), &format!(" = {name:?}"));
        Ok(())
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        name: &'static str,
        value: &T,
    ) -> Result<(), Unknown> {
        self.line(&number(index.into()), &format!(": is {name}"));
        self.within(&format!(".{name}"), value)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        index: u32,
        name: &'static str,
        _: usize,
    ) -> Result<Several<'a>, Unknown> {
        self.line(&number(index.into()), &format!(": is {name}"));
        Ok(Several { writer: self, next: 0, variant: Some(name) })
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Several<'a>, Unknown> {
        let Some(length) = length else { return self.unknown() };
        self.line(&number(length as u64), &format!(": {length} items"));
        Ok(Several { writer: self, next: 0, variant: None })
    }

    fn serialize_tuple(self, _: usize) -> Result<Several<'a>, Unknown> {
        Ok(Several { writer: self, next: 0, variant: None })
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Several<'a>, Unknown> {
        Ok(Several { writer: self, next: 0, variant: None })
    }

    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<Several<'a>, Unknown> {
        self.serialize_tuple(length)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Unknown> {
        value.serialize(self)
    }

    fn serialize_i8(self, _: i8) -> Result<(), Unknown> {
        self.unknown()
    }

    fn serialize_i16(self, _: i16) -> Result<(), Unknown> {
        self.unknown()
    }

    fn serialize_i32(self, _: i32) -> Result<(), Unknown> {
        self.unknown()
    }

    fn serialize_i64(self, _: i64) -> Result<(), Unknown> {
        self.unknown()
    }

    fn serialize_u8(self, _: u8) -> Result<(), Unknown> {
        self.unknown()
    }

    fn serialize_u16(self, _: u16) -> Result<(), Unknown> {
        self.unknown()
    }

    fn serialize_f32(self, _: f32) -> Result<(), Unknown> {
        self.unknown()
    }

    fn serialize_f64(self, _: f64) -> Result<(), Unknown> {
        self.unknown()
    }

    fn serialize_char(self, _: char) -> Result<(), Unknown> {
        self.unknown()
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<(), Unknown> {
        self.unknown()
    }

    fn serialize_unit(self) -> Result<(), Unknown> {
        self.unknown()
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Unknown> {
        self.unknown()
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Unknown> {
        self.unknown()
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Unknown> {
        self.unknown()
    }
}

macro_rules! several {
    ($($part:ident),*) => {$(
        impl ser::$part for Several<'_> {
            type Ok = ();
            type Error = Unknown;

            fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unknown> {
                self.item(value)
            }

            fn end(self) -> Result<(), Unknown> {
                Ok(())
            }
        }
    )*};
}

several!(SerializeSeq, SerializeTuple);

impl ser::SerializeTupleStruct for Several<'_> {
    type Ok = ();
    type Error = Unknown;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unknown> {
        self.item(value)
    }

    fn end(self) -> Result<(), Unknown> {
        Ok(())
    }
}

macro_rules! fields {
    ($($part:ident),*) => {$(
        impl ser::$part for Several<'_> {
            type Ok = ();
            type Error = Unknown;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Unknown> {
                self.field(name, value)
            }

            fn end(self) -> Result<(), Unknown> {
                Ok(())
            }
        }
    )*};
}

fields!(SerializeStruct, SerializeStructVariant);
