//! Why a JSON value is no record, in the words of the user's program.
//!
//! Only what a draft has refused comes here: the text is read once more, by the record's schema, until the first
//! part of it that does not fit. The reason names the record's type, the path to that part, and line and column.

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor,
};

use super::{Field, Floats, Schema, names, part_name, values};

/// A reason is cut off after this many characters: a string in it may be long.
const LONGEST: usize = 300;

/// Why `text` is no record of this schema; `refused` is what its draft said.
#[cold]
pub(crate) fn explain(schema: &'static Schema, text: &str, refused: &serde_json::Error) -> String {
    let mut path = Path::default();
    let mut json = serde_json::Deserializer::from_str(text);
    let read = Part { schema, path: &mut path, nullable: false }
        .deserialize(&mut json)
        .and_then(|()| json.end());
    // What this reader takes and the draft does not is said in the draft's words.
    let error = read.as_ref().err().unwrap_or(refused);
    let (line, column) = (error.line(), error.column());
    let mut why = error.to_string();
    if let Some(end) = why.rfind(" at line ") {
        why.truncate(end);
    }
    if let Some((end, _)) = why.char_indices().nth(LONGEST) {
        why.truncate(end);
        why.push('…');
    }
    let path = if path.0.is_empty() { String::new() } else { format!("`{path}`: ") };
    format!("not a `{schema}`: {path}{why} at line {line} column {column}")
}

/// The way to a part of a record, for people: `place.city`, `tags[2]`.
#[derive(Default)]
struct Path(Vec<Step>);

enum Step {
    Name(&'static str),
    Index(usize),
    /// The name of an entry of an object that is read as a list.
    Entry(String),
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Name(name) if i == 0 => f.write_str(name)?,
                Step::Name(name) => write!(f, ".{name}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Entry(name) => write!(f, "[{name:?}]")?,
            }
        }
        Ok(())
    }
}

/// A part of a record, at the end of the path.
struct Part<'p> {
    schema: &'static Schema,
    path: &'p mut Path,
    /// Whether `null` stands for its default.
    nullable: bool,
}

impl Part<'_> {
    /// The next part down a step. The path keeps the step if it is refused.
    fn step<T, E>(
        &mut self,
        step: Step,
        schema: &'static Schema,
        read: impl FnOnce(Part<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.path.0.push(step);
        let done = read(Part { schema, path: self.path, nullable: false })?;
        self.path.0.pop();
        Ok(done)
    }

    /// Reads an object whose names are these.
    fn object<'de, A: MapAccess<'de>>(
        mut self,
        fields: &[(Field, &'static Schema)],
        mut map: A,
    ) -> Result<(), A::Error> {
        let mut seen = vec![false; fields.len()];
        while let Some(key) = map.next_key::<std::borrow::Cow<'_, str>>()? {
            let has = |field: &Field| {
                !field.skip && (field.name == key || field.aliases.iter().any(|name| *name == key))
            };
            let Some(index) = fields.iter().position(|(field, _)| has(field)) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let (field, schema) = fields[index];
            let is_second = std::mem::replace(&mut seen[index], true);
            self.step(Step::Name(field.name), schema, |part| match is_second {
                true => Err(A::Error::custom("the field occurs twice")),
                false => map.next_value_seed(Part { nullable: field.default, ..part }),
            })?;
        }
        let missing = fields.iter().zip(seen);
        let missing =
            missing.filter(|((field, _), seen)| !seen && !field.skip && !field.is_optional());
        let missing: Vec<&'static str> = missing.map(|((field, _), _)| field.name).collect();
        match missing[..] {
            [] => Ok(()),
            [name] => {
                self.path.0.push(Step::Name(name));
                Err(A::Error::custom("the field is missing"))
            }
            _ => {
                let names = missing.join("`, `");
                Err(A::Error::custom(format_args!("the fields `{names}` are missing")))
            }
        }
    }

    fn expected(&self) -> &dyn serde::de::Expected {
        self
    }

    fn integer<E: Error>(&self, value: i128, what: Unexpected<'_>) -> Result<(), E> {
        let Schema::Scalar(name) = self.schema else { return Err(E::invalid_type(what, self)) };
        let fits = match *name {
            "u8" => u8::try_from(value).is_ok(),
            "u16" => u16::try_from(value).is_ok(),
            "u32" => u32::try_from(value).is_ok(),
            "u64" => u64::try_from(value).is_ok(),
            "usize" => usize::try_from(value).is_ok(),
            "i8" => i8::try_from(value).is_ok(),
            "i16" => i16::try_from(value).is_ok(),
            "i32" => i32::try_from(value).is_ok(),
            "i64" => i64::try_from(value).is_ok(),
            "isize" => isize::try_from(value).is_ok(),
            "str" | "bool" | "char" => return Err(E::invalid_type(what, self)),
            name => match values::known(name) {
                Some(known) if i64::try_from(value).is_ok_and(known.takes) => true,
                Some(_) => return Err(E::invalid_type(what, self)),
                None => true,
            },
        };
        if fits { Ok(()) } else { Err(E::invalid_value(what, self)) }
    }
}

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.schema {
            Schema::Option(_) => deserializer.deserialize_option(self),
            _ if self.nullable => deserializer.deserialize_option(self),
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.schema {
            Schema::Scalar("str") => f.write_str("a string"),
            Schema::Scalar("char") => f.write_str("a string of one character"),
            Schema::Scalar("bool") => f.write_str("`true` or `false`"),
            Schema::Scalar(name) => match values::known(name) {
                Some(known) => f.write_str(known.what),
                None => write!(f, "a number (`{name}`)"),
            },
            Schema::Enum { names, .. } => write!(f, "one of {}", names::quoted(names)),
            Schema::Option(of) => {
                Part { schema: of, path: &mut Path::default(), nullable: false }.expecting(f)
            }
            Schema::List(_) => f.write_str("an array"),
            Schema::Tuple(parts) => write!(f, "an array of {} parts", parts.len()),
            Schema::Struct { name, .. } => {
                write!(f, "an object with the fields of `{name}`")
            }
        }
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.schema {
            Schema::Option(of) => {
                Part { schema: of, path: self.path, nullable: false }.deserialize(deserializer)
            }
            _ if self.nullable => Part { nullable: false, ..self }.deserialize(deserializer),
            _ => IgnoredAny.visit_some(deserializer).map(drop),
        }
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        match self.schema {
            Schema::Scalar("bool") => Ok(()),
            _ => Err(E::invalid_type(Unexpected::Bool(value), &self)),
        }
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.integer(value.into(), Unexpected::Unsigned(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.integer(value.into(), Unexpected::Signed(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        match self.schema {
            // Of more than 64 bits.
            Schema::Scalar("u128" | "i128") if value.fract() == 0.0 => Ok(()),
            Schema::Scalar("f64") => Ok(()),
            Schema::Scalar("f32") if (value as f32).is_finite() => Ok(()),
            Schema::Scalar("f32") => Err(E::custom(format_args!(
                "the number {value:?} is out of range, expected {}",
                self.expected()
            ))),
            _ => Err(E::custom(format_args!("the number {value:?}, expected {}", self.expected()))),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let is_float = Floats::value(text).is_some();
        match self.schema {
            Schema::Scalar("str") => Ok(()),
            Schema::Scalar("char") if text.chars().count() == 1 => Ok(()),
            Schema::Scalar("char") => Err(E::invalid_value(Unexpected::Str(text), &self)),
            Schema::Scalar("f32" | "f64") if is_float && Floats::are_strings() => Ok(()),
            Schema::Scalar("f32" | "f64") if is_float => Err(E::custom(format_args!(
                "the string {text:?} is a float only with `floats=string` in the source's URL"
            ))),
            Schema::Enum { names, .. } if names.contains(&text) => Ok(()),
            Schema::Enum { .. } => Err(E::invalid_value(Unexpected::Str(text), &self)),
            Schema::Scalar(name) => match values::known(name) {
                Some(known) if (known.reads)(text) => Ok(()),
                Some(_) => Err(E::invalid_value(Unexpected::Str(text), &self)),
                None => Err(E::invalid_type(Unexpected::Str(text), &self)),
            },
            _ => Err(E::invalid_type(Unexpected::Str(text), &self)),
        }
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Err(E::custom(format_args!("`null`, expected {}", self.expected())))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        match self.schema {
            Schema::List(of) => {
                let mut index = 0;
                while self
                    .step(Step::Index(index), of, |part| seq.next_element_seed(part))?
                    .is_some()
                {
                    index += 1;
                }
                Ok(())
            }
            Schema::Tuple(parts) => {
                for (index, schema) in parts.iter().enumerate() {
                    let read = |part: Part<'_>| seq.next_element_seed(part);
                    if self.step(Step::Index(index), schema, read)?.is_none() {
                        return Err(A::Error::invalid_length(index, &self));
                    }
                }
                match seq.next_element::<IgnoredAny>()? {
                    None => Ok(()),
                    Some(_) => Err(A::Error::custom(format_args!(
                        "more than {} parts in the array",
                        parts.len()
                    ))),
                }
            }
            _ => Err(A::Error::custom(format_args!("an array, expected {}", self.expected()))),
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        match self.schema {
            Schema::List(of @ Schema::Tuple([key, value])) if of.is_entry() => {
                while let Some(name) = map.next_key::<String>()? {
                    self.step(Step::Entry(name.clone()), key, |part| part.visit_str(&name))?;
                    self.step(Step::Entry(name), value, |part| map.next_value_seed(part))?;
                }
                Ok(())
            }
            Schema::Struct { fields, .. } => {
                let fields: Vec<_> = fields.iter().map(|field| (*field, &field.schema)).collect();
                self.object(&fields, map)
            }
            Schema::Tuple(parts) => {
                let name = |(index, schema): (usize, &'static Schema)| {
                    (Field::new(part_name(parts.len(), index), *schema), schema)
                };
                let fields: Vec<_> = parts.iter().enumerate().map(name).collect();
                self.object(&fields, map)
            }
            _ => Err(A::Error::custom(format_args!("an object, expected {}", self.expected()))),
        }
    }
}
