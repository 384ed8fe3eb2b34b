//! What is generated for a struct that cannot be a record: it passes for one, so that only its own
//! mistakes are shown and not every use of it too.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Data, DeriveInput, Field, Fields, Type};

use super::code::{is_plain, view_type};

/// The borrowed form and the traits of a record that is wrong; nothing for a generic one, which has no
/// one borrowed form.
pub(super) fn items(input: &DeriveInput) -> Option<TokenStream> {
    if !input.generics.params.is_empty() {
        return None;
    }
    let (name, visibility) = (&input.ident, &input.vis);
    let view = format_ident!("{name}Ref");
    let fields = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => fields.named.iter().map(field).collect(),
            Fields::Unnamed(_) | Fields::Unit => Vec::new(),
        },
        Data::Enum(_) | Data::Union(_) => Vec::new(),
    };
    Some(quote! {
        #[derive(Debug, Clone, Copy)]
        #[allow(dead_code)]
        #visibility struct #view<'a> {
            #(#fields,)*
            #[doc(hidden)]
            __borrows: ::core::marker::PhantomData<&'a ()>,
        }
        ::dstream::__private::wrong_record!(#name, #view);
    })
}

/// A field of the borrowed form, as near as possible to what it will be once it is right.
fn field(field: &Field) -> TokenStream {
    let Field { vis, ident, ty, .. } = field;
    let ty = match ty {
        ty if is_plain(ty) => view_type(ty),
        Type::Reference(reference) => {
            let referred = &reference.elem;
            quote!(&'a #referred)
        }
        ty => quote!(&'a #ty),
    };
    quote!(#vis #ident: #ty)
}
