//! What all derived records share: each is archived, compared and keyed as another record, which holds the same. Of a
//! struct that is the tuple of its fields, of a struct around one value that value.

use proc_macro2::TokenStream;
use quote::quote;
use syn::Ident;

use crate::codegen::names::local;

/// A derived record, and what it is held as.
pub(super) struct Held<'h> {
    /// The derived type.
    pub(super) name: &'h Ident,
    /// Its view.
    pub(super) view: &'h Ident,
    /// The record that holds the same.
    pub(super) as_record: &'h TokenStream,
    /// The view of that, from a view of the derived record.
    pub(super) to: &'h dyn Fn(&Ident) -> TokenStream,
    /// The other way round.
    pub(super) from: &'h dyn Fn(&Ident) -> TokenStream,
}

impl Held<'_> {
    /// The items of `impl Record` that go by what it is held as.
    pub(super) fn items(&self) -> TokenStream {
        let Self { view, as_record: held, .. } = self;
        let [v, t, a, b, archived] = ["view", "t", "a", "b", "archived"].map(local);
        let (wired, left, right) = ((self.to)(&v), (self.to)(&a), (self.to)(&b));
        let seen = (self.from)(&t);
        quote! {
            type View<'a> = #view<'a>;
            type Archived = <#held as __dstream::Record>::Archived;
            type Wire<'a> = <#held as __dstream::Record>::Wire<'a>;
            const EXACT: __dstream::core::primitive::bool = <#held as __dstream::Record>::EXACT;
            const INLINE: __dstream::core::primitive::bool = <#held as __dstream::Record>::INLINE;
            #[inline]
            fn wire<'a: 'a>(#v: #view<'a>) -> Self::Wire<'a> {
                <#held as __dstream::Record>::wire(#wired)
            }
            #[inline]
            fn view_archived(#archived: &Self::Archived) -> #view<'_> {
                let #t = <#held as __dstream::Record>::view_archived(#archived);
                #seen
            }
            #[inline]
            fn compare(#a: #view<'_>, #b: #view<'_>) -> __dstream::core::cmp::Ordering {
                <#held as __dstream::Record>::compare(#left, #right)
            }
        }
    }

    /// A record is a key if what it is held as is one. The bound has a lifetime, so that it is checked only where the
    /// record is used as a key.
    pub(super) fn key(&self) -> TokenStream {
        let Self { name, as_record: held, .. } = self;
        let [t, v, out, bytes] = ["t", "view", "out", "bytes"].map(local);
        let (written, seen) = ((self.to)(&v), (self.from)(&t));
        quote! {
            impl __dstream::Key for #name
            where
                for<'k> #held: __dstream::KeyFor<'k>,
            {
                const WIDTH: __dstream::core::option::Option<__dstream::core::primitive::usize> =
                    <#held as __dstream::Key>::WIDTH;
                #[inline]
                fn write(
                    #v: <Self as __dstream::Record>::View<'_>,
                    #out: &mut __dstream::std::vec::Vec<__dstream::core::primitive::u8>,
                ) {
                    <#held as __dstream::Key>::write(#written, #out)
                }
                #[inline]
                fn read<'a>(
                    #bytes: &mut __dstream::KeyReader<'a>,
                ) -> <Self as __dstream::Record>::View<'a> {
                    let #t = <#held as __dstream::Key>::read(#bytes);
                    #seen
                }
                fn check(#bytes: &mut __dstream::KeyReader<'_>) -> __dstream::core::primitive::bool {
                    <#held as __dstream::Key>::check(#bytes)
                }
            }
        }
    }

    /// The derived type and its view both stand for the record. `shorter` is the view behind `self`, with a shorter
    /// lifetime: that of a nested record is invariant, so the whole view cannot be shortened.
    pub(super) fn stands(&self, shorter: &TokenStream) -> TokenStream {
        let Self { name, view, .. } = self;
        quote! {
            impl __dstream::AsRecord for #name {
                type Record = #name;
                #[inline]
                fn as_view(&self) -> #view<'_> { __dstream::Record::view(self) }
                #[inline]
                fn into_record(self) -> #name { self }
            }
            impl<'x> __dstream::AsRecord for #view<'x> {
                type Record = #name;
                #[inline]
                fn as_view(&self) -> #view<'_> { #shorter }
                #[inline]
                fn into_record(self) -> #name { <#name as __dstream::Record>::own(self) }
            }
        }
    }
}
