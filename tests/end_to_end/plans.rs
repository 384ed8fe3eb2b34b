//! `plan` in all forms, for all examples.

use serde_json::Value;

use crate::job::Job;

const EXAMPLES: [&str; 4] = ["grep", "page_views", "top_k_count", "word_count"];

fn plan(name: &str, form: &[&str]) -> String {
    let done = Job::example(name).args(["plan"]).args(form).run().code(0);
    assert!(done.err.is_empty(), "{}", done.said());
    done.out.join("\n")
}

/// The output of `plan --json`.
fn tables(name: &str) -> Value {
    serde_json::from_str(&plan(name, &["--json"])).expect("it is JSON")
}

/// The strings under a key, in all elements of a list.
fn names<'v>(list: &'v Value, key: &str) -> Vec<&'v str> {
    let rows = list.as_array().expect("it is a list");
    rows.iter().map(|row| row[key].as_str().expect("it is a string")).collect()
}

#[test]
fn text_names_the_job_its_streams_and_its_plan() {
    for name in EXAMPLES {
        let (text, tables) = (plan(name, &[]), tables(name));
        let hash = tables["hash"].as_str().expect("it has a hash");
        for expected in [&format!("job {name}"), hash, &format!("examples/{name}.rs:")] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        for stage in names(&tables["stages"], "name") {
            assert!(text.contains(stage), "{stage}: {text}");
        }
    }
}

#[test]
fn json_is_the_plan_that_runs() {
    for name in EXAMPLES {
        let tables = tables(name);
        let source = names(&tables["sources"], "name")[0];
        let records = format!(
            "{source}=generate://{}?records=10&batch_records=10&windows=batches",
            match name {
                "page_views" => "page_views",
                _ => "words",
            }
        );
        let done = Job::example(name).args(["--source", &records, "--summary", "json"]).run();
        assert_eq!(done.code(0).summary()["plan"], tables["hash"]);
    }
}

#[test]
fn svg_is_well_formed_and_shows_every_stream() {
    for name in EXAMPLES {
        let svg = plan(name, &["--svg"]);
        let parsed = roxmltree::Document::parse(&svg).unwrap_or_else(|e| panic!("{e}: {svg}"));
        assert_eq!(parsed.root_element().tag_name().name(), "svg");
        let text: String = parsed.descendants().filter_map(|node| node.text()).collect();
        let tables = tables(name);
        for list in ["sources", "stages", "outputs"] {
            for stream in names(&tables[list], "name") {
                assert!(text.contains(stream), "{stream}: {text}");
            }
        }
    }
}

#[test]
fn dot_has_a_node_for_each_stage() {
    for name in EXAMPLES {
        let dot = plan(name, &["--dot"]);
        assert!(dot.starts_with(&format!("digraph \"{name}\" {{")) && dot.ends_with('}'), "{dot}");
        let nodes = dot
            .lines()
            .filter(|line| line.trim_start().starts_with('s'))
            .filter(|line| line.contains("[label=") && !line.contains("->"));
        let stages = tables(name)["stages"].as_array().map(Vec::len);
        assert_eq!(Some(nodes.count()), stages, "{dot}");
    }
}

#[test]
fn code_is_rust() {
    for name in EXAMPLES {
        let code = plan(name, &["--code"]);
        let file = syn::parse_file(&code).unwrap_or_else(|error| panic!("{error}: {code}"));
        assert!(!file.items.is_empty());
    }
}
