//! Hygiene: no name of a user's meets one of generated code. All names of the user's begin with `zz` here, so what
//! does not is generated. The lists of names come from the code itself, so that they cannot lag behind it.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

use super::names::Names;
use super::{compiled, flow, items};
use crate::compile::compile_job;
use crate::ir::physical::Physical;
use crate::testing::{operators, physical_with, tokens};
use crate::{expand, op, params, record, reserved};

const OPERATOR: &str =
    "fn zz_long(zz_lines: Stream<String>, zz_least: ZzNumber) -> Stream<String> {
    let zz_words = zz_lines.flat_map(|zz_l| zz_words_of(zz_l));
    let zz_limit = zz_least + 1;
    zz_words.filter(|zz_w| zz_w.len() > zz_limit)
}";

/// Operators with closures that capture and with paths.
const EVERYTHING: &str = r#"
    let zz_top = params.zz_k;
    let zz_least = 3u64;
    let zz_lines = source::text("x:");
    let zz_rows = source::csv::<ZzRow>("x:");
    let zz_views = source::json::<ZzView>(&params.zz_url);
    let zz_words = zz_long(zz_lines, 4);
    let zz_pairs = zz_words.map(|zz_w| (zz_w, zz_least));
    let zz_values = zz_pairs.map_values(|zz_n| zz_n + zz_least).map_values(zz_function);
    let zz_keyed = zz_rows.key_by(|zz_r| zz_r.zz_id).filter(|(_, zz_r)| zz_r.zz_id > zz_least);
    let zz_some = zz_views.filter_map(|zz_v| zz_v.zz_url).union(zz_lines).map(zz_function);
    let zz_reduced = zz_values.reduce_by_key(|zz_a, zz_b| zz_a + zz_b + zz_least);
    let zz_joined = zz_reduced.join(zz_keyed);
    let zz_running = zz_joined.running_reduce(|zz_a, _| zz_a);
    let zz_window = zz_pairs.window("3s", "2s").count();
    let zz_inverse = zz_pairs.reduce_by_key_and_window(|zz_a, zz_b| zz_a + zz_b, |zz_a, zz_b| zz_a - zz_b, "3s");
    let zz_folded = zz_pairs.reduce_by_key_and_window(|zz_a, zz_b| zz_a + zz_b, "3s");
    let zz_one = zz_lines.reduce(|zz_a, _| zz_a);
    let zz_both = zz_lines.flat_map(zz_function).union(zz_words);
    zz_running.save("x:");
    zz_window.print();
    zz_inverse.top_k(zz_top, |(_, zz_n)| zz_n).print(3);
    zz_folded.print();
    zz_one.print();
    zz_some.count().save(&params.zz_url);
    zz_both.print();
"#;

/// That and the example of every operator.
fn everything() -> Physical {
    let examples = op::ALL.iter().enumerate().map(|(at, operator)| example(operator, at));
    let program = examples.fold(EVERYTHING.to_owned(), |program, example| program + &example);
    physical_with(&program, &operators(&[OPERATOR]))
}

/// The example of an operator, the names in it made unique and begun with `zz_`.
fn example(operator: &op::Operator, at: usize) -> String {
    let program = op::reference::program(operator).concat();
    let program = program.replace("generate://words", "x:");
    let mut locals = Locals::default();
    locals.visit_block(&syn::parse_str(&format!("{{ {program} }}")).expect("it is Rust"));
    let rename = |word: &str| match locals.0.contains(word) {
        true => format!("zz_{word}{at}"),
        false if word == "u64" => "ZzNumber".to_owned(),
        false if ["Option", "Some", "State"].contains(&word) => format!("Zz{word}"),
        false => word.to_owned(),
    };
    let (mut text, mut word, mut member) = (String::new(), String::new(), false);
    for c in program.chars().chain(['\n']) {
        if c.is_alphanumeric() || c == '_' {
            word.push(c);
            continue;
        }
        text.push_str(&if member { word.clone() } else { rename(&word) });
        word.clear();
        member = c == '.';
        text.push(c);
    }
    text
}

/// The names that a program binds.
#[derive(Default)]
struct Locals(BTreeSet<String>);

impl<'a> Visit<'a> for Locals {
    fn visit_pat_ident(&mut self, pat: &'a syn::PatIdent) {
        self.0.insert(pat.ident.to_string());
    }
}

/// The names of generated code that could meet one of the user's, and are not reserved.
#[derive(Default)]
struct Open(BTreeSet<String>);

impl Open {
    fn see(&mut self, name: &impl ToString) {
        let name = name.to_string();
        let own = name.to_lowercase().starts_with("zz") || ["Params", "params"].contains(&&*name);
        if !own && !reserved::is_reserved(&name) && name != "self" && name != "Self" {
            self.0.insert(name);
        }
    }
}

impl<'a> Visit<'a> for Open {
    fn visit_pat_ident(&mut self, pat: &'a syn::PatIdent) {
        self.see(&pat.ident);
        visit::visit_pat_ident(self, pat);
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        if path.leading_colon.is_none() && !path.is_ident("macro_rules") {
            self.see(&path.segments[0].ident);
        }
        visit::visit_path(self, path);
    }

    /// Built-in attributes cannot be hidden; the paths in them are seen.
    fn visit_attribute(&mut self, attribute: &'a syn::Attribute) {
        if let syn::Meta::List(list) = &attribute.meta
            && attribute.path().is_ident("derive")
        {
            let derives = list.parse_args_with(
                syn::punctuated::Punctuated::<syn::Path, syn::Token![,]>::parse_terminated,
            );
            derives.expect("derives are paths").iter().for_each(|path| self.visit_path(path));
        }
    }

    fn visit_item(&mut self, item: &'a syn::Item) {
        match item {
            syn::Item::Fn(item) => self.see(&item.sig.ident),
            syn::Item::Struct(item) => self.see(&item.ident),
            syn::Item::Static(item) => self.see(&item.ident),
            syn::Item::Const(item) if item.ident != "_" => self.see(&item.ident),
            syn::Item::Macro(item) => item.ident.iter().for_each(|name| self.see(name)),
            _ => {}
        }
        visit::visit_item(self, item);
    }

    fn visit_use_rename(&mut self, rename: &'a syn::UseRename) {
        self.see(&rename.rename);
    }

    fn visit_type_param(&mut self, param: &'a syn::TypeParam) {
        self.see(&param.ident);
        visit::visit_type_param(self, param);
    }

    fn visit_field(&mut self, field: &'a syn::Field) {
        field.ident.iter().for_each(|name| self.see(name));
        visit::visit_field(self, field);
    }
}

/// The open names in generated items.
fn open(code: &TokenStream) -> BTreeSet<String> {
    let file: syn::File = syn::parse2(code.clone()).unwrap_or_else(|e| panic!("{e} in {code}"));
    let mut open = Open::default();
    open.visit_file(&file);
    open.0
}

#[test]
fn generated_code_has_reserved_names_and_absolute_paths_only() {
    let plan = everything();
    let mut header = plan.header.clone();
    header.name = quote::format_ident!("zz_job");
    // In examples: of aggregates, and of `foreach_batch`.
    let own = BTreeSet::from(["agg".to_owned(), "println".to_owned()]);
    assert_eq!(open(&items(&header, &compiled(&plan))), own);

    let public = expand::operator(tokens(""), tokens(&format!("pub {OPERATOR}")));
    let private = expand::operator(tokens(""), tokens(OPERATOR));
    // The user's own signature.
    let own = ["Stream", "String"].map(str::to_owned);
    assert_eq!(open(&public), own.clone().into());
    assert_eq!(open(&private), own.into());

    let struct_ = tokens("pub struct ZzView { zz_url: zz::Text, zz_at: ZzPlace, zz_all: ZzMany }");
    assert_eq!(open(&record::derive(struct_.clone())), BTreeSet::new());
    assert_eq!(open(&params::params(tokens(""), struct_)), BTreeSet::new());
    // What is spelled out is the user's own token, and asked whether it is the standard type.
    let wide = "struct ZzWide { a: String, b: u64, c: Option<Vec<u8>>, zz_d: (ZzPlace, bool),
        e: u8, f: u8, g: u8, h: u8, i: u8, j: f64 }";
    let own = ["String", "u64", "Option", "Vec", "u8", "bool", "f64"];
    let fields = ["a", "b", "c", "e", "f", "g", "h", "i", "j"];
    let own: BTreeSet<String> = own.into_iter().chain(fields).map(str::to_owned).collect();
    assert_eq!(open(&record::derive(tokens(wide))), own);
    // A wrong one.
    let wrong = record::derive(tokens("struct ZzWrong { zz_a: &'static ZzPlace, zz_b: ZzMany }"));
    assert_eq!(open(&wrong), BTreeSet::new());
}

/// All names in the code of a job that are not the user's: those of the runtime, and those that are reserved,
/// without their prefix.
fn names(code: TokenStream, into: &mut BTreeSet<String>) {
    for token in code {
        match token {
            TokenTree::Ident(ident) => {
                let name = ident.to_string();
                let name = reserved::shown(&name)
                    .map_or(name, |shown| shown.trim_end_matches('_').to_owned());
                let usable = syn::parse_str::<syn::Ident>(&name).is_ok();
                if usable && !reserved::is_reserved(&name) && !name.to_lowercase().starts_with("zz")
                {
                    into.insert(name);
                }
            }
            TokenTree::Group(group) => names(group.stream(), into),
            _ => {}
        }
    }
}

fn all_names() -> BTreeSet<String> {
    let plan = everything();
    let mut found = BTreeSet::new();
    names(compiled(&plan), &mut found);
    names(items(&plan.header, &TokenStream::new()), &mut found);
    for expected in ["score", "out", "key", "many", "acc", "call", "view", "Option", "Some"] {
        assert!(found.contains(expected), "{expected} is in no generated code: {found:?}");
    }
    // What users write by hand, too.
    let more = ["__d", "__b", "std", "Vec", "Result", "Ok", "String", "u64", "Clone", "r#type"];
    found.into_iter().chain(more.map(str::to_owned)).collect()
}

/// Operators with streams and captures called `zzq`; the examples of all operators come on top.
const EACH: [&str; 17] = [
    "let zzq = source::text(\"x:\"); zzq.map(|zz_l| zz_l.len()).print();",
    "let zz_s = source::text(\"x:\"); let zzq = zz_s.map(|zzq| zzq.len()); zzq.print();",
    "let zzq = 3; let zz_s = source::text(\"x:\"); zz_s.map(|zz_l| zz_l.len() + zzq).print();",
    "let zzq = source::text(\"x:\"); let zz_f = zzq.filter(|zzq| zzq == \"a\"); zz_f.save(\"x:\");",
    "let zzq = source::json::<ZzV>(\"x:\"); zzq.filter_map(|zz_v| zz_v.zz_o).count().print();",
    "let zzq = source::csv::<ZzV>(\"x:\"); zzq.flat_map(|zz_v| zz_v.zz_all).print();",
    "let zz_s = source::text(\"x:\"); let zzq = zz_s.key_by(|zzq| zzq.len()); zzq.print();",
    "let zzq = source::text(\"x:\"); zzq.key_by(|zz_l| zz_l.len()).map_values(|zzq| zzq).print();",
    "let zz_s = source::text(\"x:\"); let zzq = zz_s.map(|zz_l| (zz_l, 1)).map_values(zzf); zzq.print();",
    "let zzq = source::text(\"x:\"); zzq.top_k(2, |zz_l| zz_l.len()).print();",
    "let zzq = 2; let zz_s = source::text(\"x:\"); zz_s.top_k(zzq, |zz_l| zz_l.len() + zzq).print();",
    "let zzq = source::text(\"x:\"); zzq.reduce(|zzq, zz_b| zzq + zz_b).print();",
    "let zzq = source::text(\"x:\"); let zz_p = zzq.map(|zz_l| (zz_l, 1)); zz_p.reduce_by_key(|zz_a, zzq| zz_a + zzq).join(zz_p).print();",
    "let zz_p = source::json::<ZzP>(\"x:\"); let zzq = zz_p.running_reduce(|zz_a, zz_b| zz_a + zz_b); zzq.print();",
    "let zzq = source::text(\"x:\"); zzq.window(\"3s\").union(zzq).print();",
    "let zzq = source::json::<ZzP>(\"x:\"); let zz_w = zzq.reduce_by_key_and_window(|zz_a, zz_b| zz_a + zz_b, \"3s\"); zz_w.print();",
    "let zzq = 1; let zz_p = source::json::<ZzP>(\"x:\"); zz_p.reduce_by_key_and_window(|zz_a, zz_b| zz_a + zz_b + zzq, |zz_a, zz_b| zz_a - zz_b - zzq, \"3s\").print();",
];

/// Tokens with the name in place of `zzq`, as a stream's variable and as the user's own.
fn with_name(code: TokenStream, name: &str, into: &mut Vec<String>) {
    let variable = reserved::stream("zzq");
    for token in code {
        match token {
            TokenTree::Group(group) => {
                into.push(format!("{:?}", group.delimiter()));
                with_name(group.stream(), name, into);
                into.push("end".to_owned());
            }
            TokenTree::Ident(ident) if ident == "zzq" => into.push(name.to_owned()),
            TokenTree::Ident(ident) => {
                let plain = name.trim_start_matches("r#");
                let text = ident.to_string();
                into.push(match text.strip_prefix(&variable) {
                    Some(rest) => format!("{}{rest}", reserved::stream(plain)),
                    None => text,
                });
            }
            token => into.push(token.to_string()),
        }
    }
}

/// The code of a job is the same whatever names its streams, captures and parameters have, other than for those
/// names. With the test above: there is nothing in it that any of them could meet.
#[test]
fn every_operator_takes_every_name() {
    let names = all_names();
    let examples = op::ALL.iter().enumerate().map(|(at, operator)| {
        let example = example(operator, at);
        example.replace(&format!("zz_words{at}"), "zzq")
    });
    for body in EACH.into_iter().map(str::to_owned).chain(examples) {
        let body = &body;
        let code = |body: &str| {
            let item = tokens(&format!("fn zz_job() {{ {body} }}"));
            let compiled = compile_job(tokens(""), item, &[]);
            let plan = compiled.physical.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics));
            flow::build(&plan, &Names::new(&plan))
        };
        let plain = code(body);
        for name in &names {
            // A stream called like its source's path is one that is not defined yet.
            let renamed = code(&body.replace("zzq", name));
            let (mut wanted, mut found) = (Vec::new(), Vec::new());
            with_name(plain.clone(), name, &mut wanted);
            with_name(renamed, "zzq", &mut found);
            assert_eq!(found, wanted, "`{name}` in {body}");
        }
    }
}

/// A value is cloned for the closures that mention it, and for no field, method or path of its name.
#[test]
fn only_locals_are_captured() {
    let captures = |closure: &str| {
        let body = format!("let len = 3; let s = source::text(\"x:\"); s.map({closure}).print();");
        let item = tokens(&format!("fn zz_job() {{ {body} }}"));
        let plan = compile_job(tokens(""), item, &[]).physical.expect("nothing is wrong");
        flow::build(&plan, &Names::new(&plan)).to_string().contains("capture")
    };
    for closure in ["|l| l.len()", "|l| l.len", "|l| len::of(l)", "|l| text::len(l)"] {
        assert!(!captures(closure), "{closure}");
    }
    for closure in ["|l| l == len", "|l| (0..len)", "|l| f(l, len)", "|l| format!(\"{l}{len}\")"] {
        assert!(captures(closure), "{closure}");
    }
}

/// The code that a plan shows.
struct Shown(String);

impl<'a> Visit<'a> for Shown {
    fn visit_field_value(&mut self, field: &'a syn::FieldValue) {
        if let (syn::Member::Named(name), syn::Expr::Lit(literal)) = (&field.member, &field.expr)
            && name == "code"
            && let syn::Lit::Str(text) = &literal.lit
        {
            self.0 = text.value();
        }
        visit::visit_field_value(self, field);
    }
}

#[test]
fn shown_code_has_no_reserved_names() {
    let plan = everything();
    let expression: syn::Expr = syn::parse2(compiled(&plan)).expect("it is an expression");
    let mut shown = Shown(String::new());
    shown.visit_expr(&expression);
    assert!(shown.0.contains("fn build(b: &mut Builder)"), "{}", shown.0);
    assert!(!shown.0.contains(reserved::PREFIX), "{}", shown.0);
    syn::parse_file(&shown.0).expect("it is Rust");
}

/// The jobs in `tests/semantics/names.rs` run with the names of all locals of generated code.
#[test]
fn the_names_that_are_run_are_all_locals() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/semantics/names.rs");
    let program = std::fs::read_to_string(path).expect("it is part of the repository");
    let list = program.split("names! {").nth(1).and_then(|rest| rest.split('}').next());
    let list: BTreeSet<&str> = list.expect("it has a list").split_whitespace().collect();
    fn locals(code: TokenStream, into: &mut BTreeSet<String>) {
        for token in code {
            match token {
                TokenTree::Ident(ident) => {
                    let name = ident.to_string();
                    into.extend(name.strip_prefix(&reserved::local("")).map(str::to_owned));
                }
                TokenTree::Group(group) => locals(group.stream(), into),
                _ => {}
            }
        }
    }
    let mut found = BTreeSet::new();
    locals(compiled(&everything()), &mut found);
    let numbered = |name: &String| name.starts_with("slot_") || name.starts_with("flow_");
    let missing: Vec<&String> =
        found.iter().filter(|name| !numbered(name) && !list.contains(name.as_str())).collect();
    assert!(found.len() > 8 && missing.is_empty(), "not run: {missing:?} of {found:?}");
}
