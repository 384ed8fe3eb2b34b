//! What the derive leaves of a struct that it refuses.

/// Makes a struct pass for a record, for a program that does not compile anyway.
#[doc(hidden)]
#[macro_export]
macro_rules! __wrong_record {
    ($name:ident, $view:ident) => {
        const _: () = {
            use $crate::private as __d;

            impl __d::Record for $name {
                type View<'a> = $view<'a>;
                type Archived = <bool as __d::Record>::Archived;
                type Wire<'a> = <bool as __d::Record>::Wire<'a>;
                type Draft<'a> = <bool as __d::Record>::Draft<'a>;
                const SCHEMA: __d::Schema = <bool as __d::Record>::SCHEMA;
                const EXACT: bool = true;
                const INLINE: bool = true;

                fn view(&self) -> $view<'_> {
                    ::core::unreachable!()
                }
                fn view_archived(_: &Self::Archived) -> $view<'_> {
                    ::core::unreachable!()
                }
                fn view_draft<'d, 'a: 'd>(_: &'d Self::Draft<'a>) -> $view<'d> {
                    ::core::unreachable!()
                }
                fn own(_: $view<'_>) -> Self {
                    ::core::unreachable!()
                }
                fn wire<'a: 'a>(_: $view<'a>) -> Self::Wire<'a> {
                    ::core::unreachable!()
                }
                fn compare(_: $view<'_>, _: $view<'_>) -> ::core::cmp::Ordering {
                    ::core::unreachable!()
                }
                fn visit<V: __d::Visitor>(_: $view<'_>, _: &mut V) {}
                fn from_fields<'a>(
                    _: &mut __d::Fields<'a>,
                ) -> ::core::result::Result<$view<'a>, __d::FieldError> {
                    ::core::unreachable!()
                }
            }

            impl __d::Key for $name {
                const WIDTH: ::core::option::Option<usize> = ::core::option::Option::None;
                fn write(_: $view<'_>, _: &mut ::std::vec::Vec<u8>) {}
                fn read<'a>(_: &mut __d::KeyReader<'a>) -> $view<'a> {
                    ::core::unreachable!()
                }
                fn check(_: &mut __d::KeyReader<'_>) -> bool {
                    false
                }
            }

            impl __d::AsRecord for $name {
                type Record = $name;
                fn as_view(&self) -> $view<'_> {
                    ::core::unreachable!()
                }
                fn into_record(self) -> $name {
                    self
                }
            }

            impl __d::AsRecord for $view<'_> {
                type Record = $name;
                fn as_view(&self) -> $view<'_> {
                    *self
                }
                fn into_record(self) -> $name {
                    ::core::unreachable!()
                }
            }
        };
    };
}
