//! Names reserved for generated code.
//!
//! All begin with [`PREFIX`], and a job that uses such a name is rejected, so that users' names and
//! generated names cannot collide. After the prefix, each kind of name has its own namespace, and the
//! encoding of a user's text is injective.

/// The prefix. By itself it is the runtime's module inside generated items.
pub(crate) const PREFIX: &str = "__dstream";

/// Whether a name is reserved.
pub(crate) fn is_reserved(name: &str) -> bool {
    name.trim_start_matches("r#").starts_with(PREFIX)
}

/// The variable of a record of a stream.
pub(crate) fn stream(stream: &str) -> String {
    format!("{PREFIX}_s_{}", encoded(stream))
}

/// A local of generated code.
pub(crate) fn local(name: &str) -> String {
    format!("{PREFIX}_l_{name}")
}

/// An item of generated code.
pub(crate) fn item(name: &str) -> String {
    format!("{PREFIX}_i_{name}")
}

/// A value in the body of an operator function, inlined by that call.
pub(crate) fn value(call: usize, name: &str) -> String {
    format!("{PREFIX}_v{call}_{}", name.trim_start_matches("r#"))
}

/// The macro that carries the operator function defined at that place of that file.
pub(crate) fn carrier(name: &str, file: u64, line: usize, column: usize) -> String {
    let name = name.trim_start_matches("r#");
    format!("{PREFIX}_m_{file:x}_{line}_{column}_{name}")
}

/// Encodes letters and digits as they are, `_` as `__`, and other characters as `_HEX_`.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '_' => encoded.push_str("__"),
            c if c.is_ascii_alphanumeric() => encoded.push(c),
            c => encoded.push_str(&format!("_{:x}_", u32::from(c))),
        }
    }
    encoded
}

/// A readable form of a name, for displayed code; not injective.
pub(crate) fn shown(name: &str) -> Option<String> {
    let rest = name.strip_prefix(PREFIX)?.strip_prefix('_')?;
    let (kind, rest) = rest.split_once('_')?;
    Some(match kind {
        "s" => decoded(rest),
        "l" if rest == "b" => rest.to_owned(),
        "l" => format!("{rest}_"),
        kind => format!("{rest}_{}", kind.trim_start_matches('v')),
    })
}

fn decoded(text: &str) -> String {
    let mut shown = String::new();
    let mut parts = text.split('_');
    shown.push_str(parts.next().unwrap_or_default());
    while let Some(part) = parts.next() {
        let c = u32::from_str_radix(part, 16).ok().and_then(char::from_u32);
        shown.push(c.filter(|c| c.is_alphanumeric()).unwrap_or('_'));
        shown.push_str(parts.next().unwrap_or_default());
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A stream's name: users' identifiers and operators' names, separated by dots.
    fn stream_name() -> impl Strategy<Value = String> {
        prop_oneof!["[a-c_.0-2]{0,6}", "[\\p{L}_·.]{0,6}", any::<String>()]
    }

    proptest! {
        #[test]
        fn streams_of_different_names_have_different_variables(
            a in stream_name(),
            b in stream_name(),
        ) {
            prop_assert_eq!(a == b, stream(&a) == stream(&b), "{} {}", stream(&a), stream(&b));
            prop_assert!(syn::parse_str::<syn::Ident>(&stream(&a)).is_ok());
        }

        #[test]
        fn name_spaces_are_disjoint(
            a in stream_name(),
            b in "[a-z_0-9]{1,8}",
            call in 0usize..200,
            file in any::<u64>(),
        ) {
            let names = [
                stream(&a),
                local(&b),
                item(&b),
                value(call, &b),
                carrier(&b, file, call, 3),
                PREFIX.to_owned(),
            ];
            for (i, name) in names.iter().enumerate() {
                prop_assert!(is_reserved(name));
                prop_assert!(!names[..i].contains(name), "{names:?}");
            }
        }

        #[test]
        fn values_of_different_calls_are_different(
            a in (0usize..300, "[a-z0-9_]{1,5}"),
            b in (0usize..300, "[a-z0-9_]{1,5}"),
        ) {
            prop_assert_eq!(a == b, value(a.0, &a.1) == value(b.0, &b.1));
        }
    }

    #[test]
    fn shown_names_are_readable() {
        assert_eq!(shown(&stream("page_views.map_2")).as_deref(), Some("page_views_map_2"));
        assert_eq!(shown(&local("out")).as_deref(), Some("out_"));
        assert_eq!(shown(&value(2, "limit")).as_deref(), Some("limit_2"));
        assert_eq!(shown("limit"), None);
    }
}
