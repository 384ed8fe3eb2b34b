//! What a binary can read and write: the connectors of this crate, and those that its program registers.

use std::sync::LazyLock;

use crate::sink::{SinkConnector, Sinks};
use crate::source::{SourceConnector, Sources};

/// The connectors of a binary: a constant of it, like the plan, so all processes of a job have the same.
#[derive(Debug, Clone)]
pub struct Connectors {
    /// What it can read.
    pub sources: Sources,
    /// What it can write.
    pub sinks: Sinks,
}

impl Connectors {
    /// Those of this crate.
    #[must_use]
    pub fn built_in() -> &'static Self {
        static ALL: LazyLock<Connectors> = LazyLock::new(|| Connectors {
            sources: Sources::built_in().clone(),
            sinks: Sinks::built_in().clone(),
        });
        &ALL
    }

    /// Those of this crate, and a program's own.
    ///
    /// # Errors
    /// When two have the same scheme, or what a connector declares cannot be.
    pub fn with(sources: &[SourceConnector], sinks: &[SinkConnector]) -> Result<Self, String> {
        let Self { sources: known, sinks: known_sinks } = Self::built_in();
        Ok(Self { sources: known.with(sources)?, sinks: known_sinks.with(sinks)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::OptionRow;
    use crate::record::Format;
    use crate::source::SourceError;

    fn source(scheme: &'static str) -> SourceConnector {
        SourceConnector::new(scheme, &["x://"], "Nothing", |url, _| {
            Err(SourceError::from(url.fail("is never opened")))
        })
    }

    fn sink(scheme: &'static str) -> SinkConnector {
        SinkConnector::new(scheme, "//X", "nothing", |url, _| {
            Err(url.fail("is never opened").into())
        })
    }

    #[test]
    fn a_scheme_stands_for_one_connector() {
        let with = |sources: &[SourceConnector], sinks: &[SinkConnector]| {
            Connectors::with(sources, sinks).map(drop).unwrap_err()
        };
        for taken in ["file", "generate", "tcp", "http"] {
            let why = with(&[source(taken)], &[]);
            assert_eq!(
                why,
                format!(
                    "the source `{taken}`: there is a source with this scheme already; give it another one"
                )
            );
        }
        assert!(with(&[source("a"), source("a")], &[]).contains("already"));
        assert!(with(&[], &[sink("stdout")]).contains("the output `stdout`: there is an output"));
        for no_scheme in ["", "A", "a+b", "a b", "1"] {
            assert!(with(&[source(no_scheme)], &[]).contains("is made of"), "{no_scheme}");
            assert!(with(&[], &[sink(no_scheme)]).contains("is made of"), "{no_scheme}");
        }
        assert!(Connectors::with(&[source("a")], &[sink("a")]).is_ok());
    }

    #[test]
    fn an_option_stands_for_one_thing() {
        let with = |source| Connectors::with(&[source], &[]).map(drop).unwrap_err();
        const POLICY: &[OptionRow] = &[OptionRow::flag("on_error", "")];
        assert!(with(source("a").options(POLICY)).contains("`on_error` is declared twice"));
        const PRESET: &[OptionRow] = &[OptionRow::count("n", 5, "").or("1")];
        assert!(with(source("a").options(PRESET)).contains("the preset of `n`: expected"));
        assert!(with(source("a").formats(&[])).contains("no format"));
        const NULL: &[OptionRow] = &[OptionRow::flag("null", "")];
        assert!(
            Connectors::with(&[source("a").options(NULL)], &[]).is_ok(),
            "only CSV has a `null`"
        );
        assert!(with(source("a").options(NULL).formats(&[Format::Csv])).contains("`null`"));
        assert!(Connectors::with(&[], &[sink("a").bare(Format::Json)]).is_err());
    }
}
