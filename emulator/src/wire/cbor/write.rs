//! The writer. Lists and maps are of indefinite length and strings of definite, as the service writes
//! them.

use serde::Serialize;
use serde::ser::{
    Impossible, SerializeMap, SerializeSeq, SerializeStruct, SerializeTuple, Serializer,
};

use super::{Error, TIME};

/// The start of a list that a break ends.
pub(crate) const ARRAY: u8 = 0x9f;
/// The start of a map that a break ends.
pub(crate) const MAP: u8 = 0xbf;
pub(crate) const BREAK: u8 = 0xff;
const TRUE: u8 = 0xf5;
const FALSE: u8 = 0xf4;
const NULL: u8 = 0xf6;
const SINGLE: u8 = 0xfa;
const DOUBLE: u8 = 0xfb;
const TAG_1: u8 = 0xc1;

/// A reply in CBOR.
pub(crate) fn to_vec(shape: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    append(&mut out, shape);
    out
}

/// Appends a value to a reply.
pub(crate) fn append(out: &mut Vec<u8>, shape: &impl Serialize) {
    shape
        .serialize(Encoder { out })
        .expect("replies are structures, lists, texts and numbers");
}

fn head(out: &mut Vec<u8>, major: u8, argument: u64) {
    let major = major << 5;
    let bytes = argument.to_be_bytes();
    match argument {
        0..24 => out.push(major | bytes[7]),
        24..0x100 => out.extend_from_slice(&[major | 24, bytes[7]]),
        0x100..0x1_0000 => out.extend_from_slice(&[major | 25, bytes[6], bytes[7]]),
        0x1_0000..0x1_0000_0000 => {
            out.push(major | 26);
            out.extend_from_slice(&bytes[4..]);
        }
        _ => {
            out.push(major | 27);
            out.extend_from_slice(&bytes);
        }
    }
}

pub(crate) fn unsigned(out: &mut Vec<u8>, number: u64) {
    head(out, 0, number);
}

pub(crate) fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    head(out, 2, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub(crate) fn text(out: &mut Vec<u8>, text: &str) {
    head(out, 3, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// An instant in milliseconds.
pub(crate) fn time(out: &mut Vec<u8>, millis: u64) {
    out.push(TAG_1);
    unsigned(out, millis);
}

/// Writes one value.
struct Encoder<'a> {
    out: &'a mut Vec<u8>,
}

/// Writes the members of a list or a map.
struct Members<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Encoder<'a> {
    fn open(self, start: u8) -> Members<'a> {
        self.out.push(start);
        Members { out: self.out }
    }
}

impl Members<'_> {
    fn add(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), Error> {
        value.serialize(Encoder { out: self.out })
    }

    fn close(self) {
        self.out.push(BREAK);
    }
}

/// Scalars that are the same but for their width.
macro_rules! widen {
    ($($name:ident: $from:ty => $to:ident),* $(,)?) => {
        $(fn $name(self, value: $from) -> Result<(), Error> {
            self.$to(value.into())
        })*
    };
}

impl<'a> Serializer for Encoder<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Members<'a>;
    type SerializeTuple = Members<'a>;
    type SerializeTupleStruct = Impossible<(), Error>;
    type SerializeTupleVariant = Impossible<(), Error>;
    type SerializeMap = Members<'a>;
    type SerializeStruct = Members<'a>;
    type SerializeStructVariant = Impossible<(), Error>;

    widen! {
        serialize_i8: i8 => serialize_i64,
        serialize_i16: i16 => serialize_i64,
        serialize_i32: i32 => serialize_i64,
        serialize_u8: u8 => serialize_u64,
        serialize_u16: u16 => serialize_u64,
        serialize_u32: u32 => serialize_u64,
    }

    fn serialize_bool(self, truth: bool) -> Result<(), Error> {
        self.out.push(if truth { TRUE } else { FALSE });
        Ok(())
    }

    fn serialize_i64(self, number: i64) -> Result<(), Error> {
        match u64::try_from(number) {
            Ok(number) => head(self.out, 0, number),
            // The argument of a negative number is -1 - number, which is its complement.
            Err(_) => head(self.out, 1, (!number).unsigned_abs()),
        }
        Ok(())
    }

    fn serialize_u64(self, number: u64) -> Result<(), Error> {
        unsigned(self.out, number);
        Ok(())
    }

    fn serialize_f32(self, number: f32) -> Result<(), Error> {
        self.out.push(SINGLE);
        self.out.extend_from_slice(&number.to_be_bytes());
        Ok(())
    }

    fn serialize_f64(self, number: f64) -> Result<(), Error> {
        self.out.push(DOUBLE);
        self.out.extend_from_slice(&number.to_be_bytes());
        Ok(())
    }

    fn serialize_char(self, char: char) -> Result<(), Error> {
        self.serialize_str(char.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, string: &str) -> Result<(), Error> {
        text(self.out, string);
        Ok(())
    }

    fn serialize_bytes(self, string: &[u8]) -> Result<(), Error> {
        bytes(self.out, string);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.out.push(NULL);
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Error> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        if name == TIME {
            self.out.push(TAG_1);
        }
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        let mut members = self.open(MAP);
        members.add(variant)?;
        members.add(value)?;
        members.close();
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Members<'a>, Error> {
        Ok(self.open(ARRAY))
    }

    fn serialize_tuple(self, _: usize) -> Result<Members<'a>, Error> {
        Ok(self.open(ARRAY))
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, Error> {
        Err(unknown(name))
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        Err(unknown(name))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Members<'a>, Error> {
        Ok(self.open(MAP))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Members<'a>, Error> {
        Ok(self.open(MAP))
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        Err(unknown(name))
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// No reply has a type like this; a new one that had would fail its first test.
fn unknown(name: &str) -> Error {
    Error::Type(format!("there is no CBOR for {name}"))
}

impl SerializeSeq for Members<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.add(value)
    }

    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}

impl SerializeTuple for Members<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.add(value)
    }

    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}

impl SerializeMap for Members<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.add(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.add(value)
    }

    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}

impl SerializeStruct for Members<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        text(self.out, name);
        self.add(value)
    }

    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}
