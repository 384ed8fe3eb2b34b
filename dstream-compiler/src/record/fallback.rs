//! Items for a struct that cannot be a record: it passes for one, so that rustc reports only its own
//! mistakes and not all of its uses.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Field, Fields, Type};

use super::check::asks;
use super::code::{marker_name, view_name};
use super::field::{is_plain, leaves, plain_view};
use super::refused::refused;

/// The view and the traits of an invalid record; none for a generic one, whose view would be ambiguous.
pub(super) fn items(input: &DeriveInput) -> Option<TokenStream> {
    if !input.generics.params.is_empty() {
        return None;
    }
    let (name, visibility) = (&input.ident, &input.vis);
    let (view, marker) = (view_name(name), marker_name());
    let mut asked = Vec::new();
    let fields = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => {
                fields.named.iter().for_each(|field| {
                    if refused(&field.ty).is_empty() {
                        leaves(&field.ty, &mut asked);
                    }
                });
                fields.named.iter().map(field).collect()
            }
            Fields::Unnamed(_) | Fields::Unit => Vec::new(),
        },
        Data::Enum(_) | Data::Union(_) => Vec::new(),
    };
    // Other mistakes are reported at the same time.
    let own = |ty: &&&Type| matches!(ty, Type::Path(path) if path.path.is_ident(name));
    let asked = asked.iter().filter(|ty| !own(ty)).map(|ty| asks(ty));
    Some(quote! {
        const _: fn() = || {
            #(#asked;)*
        };
        #[allow(dead_code)]
        #visibility struct #view<'a> {
            #(#fields,)*
            #[doc(hidden)]
            #marker: ::dstream::__private::core::marker::PhantomData<&'a ()>,
        }
        ::dstream::__private::wrong_record!(#name, #view);
    })
}

/// A field of the view, as similar as possible to the correct one.
fn field(field: &Field) -> TokenStream {
    let Field { vis, ident, ty, .. } = field;
    let ty = match ty {
        ty if is_plain(ty) => plain_view(ty)
            .unwrap_or_else(|| quote!(<#ty as ::dstream::__private::Record>::View<'a>)),
        Type::Reference(reference) => {
            let referred = &reference.elem;
            quote!(&'a #referred)
        }
        ty => quote!(&'a #ty),
    };
    quote!(#vis #ident: #ty)
}
