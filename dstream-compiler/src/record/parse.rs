//! Parses a derived struct, and checks its form.

use proc_macro2::Ident;
use quote::ToTokens;
use syn::{Attribute, Data, DeriveInput, Error, Fields, Result, Type, Visibility};

use super::attributes::{FieldOptions, rename_all};
use super::refused::refused;

/// A struct to derive a record for.
pub struct RecordStruct {
    /// Its name.
    pub name: Ident,
    /// Its visibility, which its view shares.
    pub visibility: Visibility,
    /// Its fields.
    pub fields: Vec<RecordField>,
}

/// A field of it.
pub struct RecordField {
    /// Its name in Rust.
    pub name: Ident,
    /// Its name in CSV headers and JSON.
    pub text: String,
    /// Its visibility.
    pub visibility: Visibility,
    /// Its type.
    pub ty: Type,
    /// Its documentation.
    pub docs: Vec<Attribute>,
    /// What else it says of its text.
    pub options: FieldOptions,
}

/// More fields do not fit into two levels of tuples.
const MOST_FIELDS: usize = 64;

impl RecordStruct {
    /// Reads a struct, collecting every mistake.
    pub(super) fn parse(input: &DeriveInput) -> Result<Self> {
        let mut errors = Errors::default();
        if !input.generics.params.is_empty() {
            errors.add(
                &input.generics,
                "a record has no type or lifetime parameters\n\
                 help: write one struct per concrete type; fields are owned (`String`, `Vec<T>`), operators see them borrowed",
            );
        }
        let fields = match &input.data {
            Data::Struct(data) => match &data.fields {
                Fields::Named(fields) => fields.named.iter().collect(),
                Fields::Unnamed(fields) => {
                    errors.add(
                        fields,
                        "several fields of a record have names: they are its columns in CSV and its keys in JSON\n\
                         help: write `struct Name { field: Type }`, or use a plain tuple",
                    );
                    Vec::new()
                }
                Fields::Unit => {
                    errors.add(
                        &input.ident,
                        "a record has at least one field\nhelp: write `struct Name { field: Type }`",
                    );
                    Vec::new()
                }
            },
            // Enums of names are records of another form.
            Data::Enum(_) => Vec::new(),
            Data::Union(data) => {
                errors.add(&data.union_token, "a union cannot be a record\nhelp: use a struct");
                Vec::new()
            }
        };
        if fields.len() > MOST_FIELDS {
            errors.add(
                fields[MOST_FIELDS],
                "a record has at most 64 fields\nhelp: group some of them in a record of their own",
            );
        }
        let named =
            matches!(&input.data, Data::Struct(data) if matches!(data.fields, Fields::Named(_)));
        if fields.is_empty() && named {
            errors.add(
                &input.ident,
                "a record has at least one field\nhelp: write `struct Name { field: Type }`",
            );
        }
        let case = rename_all(&input.attrs, &mut errors);
        let mut seen: Vec<String> = Vec::new();
        let mut parsed = Vec::new();
        for field in fields {
            let Some(name) = &field.ident else { continue };
            for (tokens, message) in refused(&field.ty) {
                errors.add(&tokens, &message);
            }
            let mut options = super::attributes::field(&field.attrs, &mut errors);
            let text = super::attributes::name(name, options.rename.take(), case);
            if options.skip && (options.default || !options.aliases.is_empty()) {
                errors.add(
                    name,
                    "a skipped field is in no text\nhelp: leave out its other options, or `skip`",
                );
            }
            let own = if options.skip { &[][..] } else { std::slice::from_ref(&text) };
            for text in own.iter().chain(&options.aliases) {
                if seen.contains(text) {
                    errors.add(name, &format!(
                        "two fields are called `{text}` in CSV and JSON\nhelp: rename one of them, or remove its `#[record(rename = …)]`"
                    ));
                }
                seen.push(text.clone());
            }
            parsed.push(RecordField {
                name: name.clone(),
                text,
                visibility: field.vis.clone(),
                ty: field.ty.clone(),
                docs: field.attrs.iter().filter(|a| a.path().is_ident("doc")).cloned().collect(),
                options,
            });
        }
        errors.finish()?;
        Ok(Self { name: input.ident.clone(), visibility: input.vis.clone(), fields: parsed })
    }
}

/// Mistakes, reported together.
#[derive(Default)]
pub(super) struct Errors(Vec<Error>);

impl Errors {
    pub(super) fn push(&mut self, error: Error) {
        self.0.push(error);
    }

    pub(super) fn add(&mut self, at: &impl ToTokens, message: &str) {
        self.0.push(Error::new_spanned(at, message));
    }

    pub(super) fn finish(self) -> Result<()> {
        let all = self.0.into_iter().reduce(|mut all, error| {
            all.combine(error);
            all
        });
        all.map_or(Ok(()), Err)
    }
}
