//! What the derive leaves of a struct that it refuses.

/// Makes a struct pass for a record, for a program that does not compile anyway.
#[doc(hidden)]
#[macro_export]
macro_rules! __wrong_record {
    ($name:ident, $view:ident) => {
        const _: () = {
            use $crate::private as __dstream;

            // A field may be of a type that can't be sent; that is no second mistake.
            // SAFETY: no value is ever made, because the program does not compile.
            unsafe impl __dstream::core::marker::Send for $name {}
            // SAFETY: as above.
            unsafe impl __dstream::core::marker::Sync for $name {}

            impl __dstream::core::clone::Clone for $view<'_> {
                fn clone(&self) -> Self {
                    *self
                }
            }

            impl __dstream::core::marker::Copy for $view<'_> {}

            impl __dstream::core::fmt::Debug for $view<'_> {
                fn fmt(
                    &self,
                    _: &mut __dstream::core::fmt::Formatter<'_>,
                ) -> __dstream::core::fmt::Result {
                    __dstream::core::unreachable!()
                }
            }

            impl __dstream::Record for $name {
                type View<'a> = $view<'a>;
                type Archived = <__dstream::core::primitive::bool as __dstream::Record>::Archived;
                type Wire<'a> = <__dstream::core::primitive::bool as __dstream::Record>::Wire<'a>;
                type Draft<'a> = <__dstream::core::primitive::bool as __dstream::Record>::Draft<'a>;
                const SCHEMA: __dstream::Schema =
                    <__dstream::core::primitive::bool as __dstream::Record>::SCHEMA;
                const EXACT: __dstream::core::primitive::bool = true;
                const INLINE: __dstream::core::primitive::bool = true;

                fn view(&self) -> $view<'_> {
                    __dstream::core::unreachable!()
                }
                fn view_archived(_: &Self::Archived) -> $view<'_> {
                    __dstream::core::unreachable!()
                }
                fn view_draft<'d, 'a: 'd>(_: &'d Self::Draft<'a>) -> $view<'d> {
                    __dstream::core::unreachable!()
                }
                fn own(_: $view<'_>) -> Self {
                    __dstream::core::unreachable!()
                }
                fn wire<'a: 'a>(_: $view<'a>) -> Self::Wire<'a> {
                    __dstream::core::unreachable!()
                }
                fn compare(_: $view<'_>, _: $view<'_>) -> __dstream::core::cmp::Ordering {
                    __dstream::core::unreachable!()
                }
                fn visit<__dstream_i_V: __dstream::Visitor>(_: $view<'_>, _: &mut __dstream_i_V) {}
                fn from_fields<'a>(
                    _: &mut __dstream::Fields<'a>,
                ) -> __dstream::core::result::Result<$view<'a>, __dstream::FieldError> {
                    __dstream::core::unreachable!()
                }
            }

            impl __dstream::Key for $name {
                const WIDTH: __dstream::core::option::Option<__dstream::core::primitive::usize> =
                    __dstream::core::option::Option::None;
                fn write(
                    _: $view<'_>,
                    _: &mut __dstream::std::vec::Vec<__dstream::core::primitive::u8>,
                ) {
                }
                fn read<'a>(_: &mut __dstream::KeyReader<'a>) -> $view<'a> {
                    __dstream::core::unreachable!()
                }
                fn check(_: &mut __dstream::KeyReader<'_>) -> __dstream::core::primitive::bool {
                    false
                }
            }

            impl __dstream::AsRecord for $name {
                type Record = $name;
                fn as_view(&self) -> $view<'_> {
                    __dstream::core::unreachable!()
                }
                fn into_record(self) -> $name {
                    self
                }
            }

            impl __dstream::AsRecord for $view<'_> {
                type Record = $name;
                fn as_view(&self) -> $view<'_> {
                    *self
                }
                fn into_record(self) -> $name {
                    __dstream::core::unreachable!()
                }
            }
        };
    };
}
