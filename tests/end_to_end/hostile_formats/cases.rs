//! Inputs that parsers get wrong, with the expected records.

use std::fmt::Write as _;

/// One input.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) bytes: Vec<u8>,
    pub(super) right: Right,
    /// Whether a followed file can contain it: records are whole lines.
    pub(super) followed: bool,
}

/// The expected records.
pub(super) enum Right {
    /// Those that Python reads.
    Python,
    /// These records and this number of dead letters, where Python fails or is silent.
    Is(&'static [[&'static str; 3]], u64),
    /// The same for lines of text.
    Lines(&'static [&'static str], u64),
}

fn case(name: &'static str, bytes: impl Into<Vec<u8>>, right: Right) -> Case {
    let bytes = bytes.into();
    let followed = bytes.ends_with(b"\n");
    Case { name, bytes, right, followed }
}

fn python(name: &'static str, bytes: impl Into<Vec<u8>>) -> Case {
    case(name, bytes, Right::Python)
}

pub(super) fn text() -> Vec<Case> {
    let long = format!("{}\nshort\n", "long ".repeat(200_000));
    vec![
        python("nothing", ""),
        python("one-line-end", "\n"),
        python("no-line-end", "a\nb"),
        python("crlf", "a\r\nb\r\n\r\n"),
        python("mixed", "a\nb\r\nc\rd\n\re\n"),
        python("mark", "\u{feff}a\nb\n\u{feff}c\n"),
        python("only-a-mark", "\u{feff}"),
        python("half-a-mark", b"\xef\xbb\na\n"),
        python("not-utf8", b"a\n\xff\xfe\nb\xc3\n\xc3\xa9\n\xed\xa0\x80\n"),
        python("nul", b"a\0b\n\0\n"),
        python("quotes", "\"a\nb\"\n\"\n"),
        python("separators", "a\u{2028}b\u{85}c\u{b}d\u{c}e\n"),
        python("long", long),
        case("carriage-returns", "a\rb\rc\n", Right::Lines(&["a\rb\rc"], 0)),
    ]
}

pub(super) fn csv() -> Vec<Case> {
    let mut large = "name,note,n\n".to_owned();
    for i in 0..400 {
        let _ = writeln!(
            large,
            "\"{}\",\"{}\n\"\"{i}\"\"\",{i}",
            "x\ny,".repeat(i),
            "\r\n".repeat(i % 7)
        );
    }
    let mut cases = vec![
        python("header-only", "name,note,n\n"),
        python("header-without-end", "name,note,n"),
        python("plain", "name,note,n\na,b,1\nc,,2\n"),
        python("no-line-end", "name,note,n\na,b,1"),
        python("line-breaks", "name,note,n\n\"a\nb\",\"\n\",1\n\"c\r\nd\",\"\r\",2\n"),
        python("line-breaks-crlf", "name,note,n\r\n\"a\nb\",\"\r\n\r\n\",1\r\nc,d,2\r\n"),
        python("mixed-ends", "name,note,n\r\na,b,1\nc,d,2\r\n\n\r\n\"e\",f,3\n"),
        python("quoted-header", "\"name\",\"no\"\"te\",\"n\"\na,b,1\n\"\",c,2\n"),
        python("header-with-line-break", "\"more\nof it\",n,name\nx,1,a\n\"y\n\",2,b\n"),
        python("doubled", "name,note,n\n\"\"\"\",\"a\"\"\",1\n\"\"\"b\"\"\",\"\"\"\"\"\",2\n"),
        python("mark", "\u{feff}name,note,n\n\u{feff}a,b,1\n"),
        python("mark-and-quotes", "\u{feff}\"name\",\"note\",\"n\"\n\"a\n\",b,1\n"),
        python("order-and-more", "n,x,name,y\n1,\"2\n3\",a,4\n"),
        python("spaces", " name , note,n\n a ,\t,1\nb,  ,2\n"),
        python(
            "numbers",
            "name,note,n\na,,1e308\nb,,1e400\nc,,-1e999\nd,,inf\ne,,nan\nf,,-Infinity\ng,,x\nh,,\n",
        ),
        python("wrong-counts", "name,note,n\na,b\nc,d,1,e\nf\ng,h,2\n"),
        python("quoted-numbers", "name,note,n\n\"a\",\"b\",\"1.5\"\n"),
        python("comments-are-data", "name,note,n\n#a,\"#\n\",1\n"),
        python("nul", "name,note,n\n\"a\0\",\0,1\n"),
        python("unicode", "name,note,n\nü😀,\"\u{2028}\u{85}\",1\n"),
        python("pieces", large),
    ];
    // Python accepts quotes that RFC 4180 forbids; we do not.
    let rows = |rows: &str| format!("name,note,n\na,b,1\n{rows}");
    cases.extend([
        case("open-quote", rows("c,\"d,2\ne,f,3\n"), Right::Is(&[["a", "b", "1"]], 1)),
        case("open-quote-without-end", rows("c,\"d"), Right::Is(&[["a", "b", "1"]], 1)),
        case(
            "after-quote",
            rows("\"c\"d,e,2\nf,g,3\n"),
            Right::Is(&[["a", "b", "1"], ["f", "g", "3"]], 1),
        ),
        case(
            "quote-within",
            rows("c\"d\",e,2\nf,g,3\n"),
            Right::Is(&[["a", "b", "1"], ["f", "g", "3"]], 1),
        ),
        case(
            "carriage-return",
            rows("c\rd,e,2\nf,g,3\n"),
            Right::Is(&[["a", "b", "1"], ["f", "g", "3"]], 1),
        ),
        case(
            "not-utf8",
            [rows("\"c\n").as_bytes(), b"\xff\n\",d,2\nf,g,3\n"].concat(),
            Right::Is(&[["a", "b", "1"], ["f", "g", "3"]], 1),
        ),
        case(
            "comma-and-quote",
            rows("c,5\" tall,2\n,\"\",3\n"),
            Right::Is(&[["a", "b", "1"], ["", "", "3"]], 1),
        ),
    ]);
    for case in &mut cases {
        // The quote is never closed, so the record is never whole.
        case.followed &= !case.name.starts_with("open-quote");
    }
    cases
}

pub(super) fn json() -> Vec<Case> {
    let lines_only = |mut case: Case| {
        case.followed = false;
        case
    };
    let one = "{\"name\":\"a\",\"note\":\"b\",\"n\":1}";
    let two = "{\"name\":\"c\",\"n\":2}";
    let broken = &[["c", "", "2"]];
    let mut cases = vec![
        python("nothing", ""),
        python("blank", " \r\n\n\t\n"),
        python("lines", format!("{one}\n{two}\n")),
        python("crlf-and-blank", format!("\r\n{one}\r\n \r\n{two}")),
        python("mark", format!("\u{feff}{one}\n{two}\n")),
        python(
            "escapes",
            "{\"name\":\"\\\"\\\\\\/\\b\\n\\u00e9\\ud83d\\ude00\\u0000\",\"note\":\"[{,:\",\"n\":-0.0}\n",
        ),
        python("null", "{\"name\":\"a\",\"note\":null,\"n\":1e2}\n"),
        python("more", "{\"x\":[{\"y\":[1,{}]}],\"name\":\"a\",\"n\":1,\"z\":{}}\n"),
        python(
            "wrong-types",
            format!("{{\"name\":1,\"n\":1}}\n{{\"name\":\"a\",\"n\":\"1\"}}\n{{\"n\":1}}\n{one}\n"),
        ),
        python("out-of-range", format!("{{\"name\":\"a\",\"n\":1e400}}\n{one}\n")),
        python("scalars", format!("{one}\n1\n\"a\"\nnull\ntrue\n")),
        python("array", format!("[{one},{two}]")),
        python("array-over-lines", format!("[\n  {one},\r\n  {two}\n]\n")),
        python(
            "array-pretty",
            "[\n {\n  \"name\": \"a,]\",\n  \"n\": 1\n },\n {\n  \"n\": 2,\n  \"name\": \"}\\\"\"\n }\n]",
        ),
        python("array-marked", format!("\u{feff} \n[{one}\n,{two}]\n")),
        python("arrays", format!("[{one}]\n[{two}\n,{one}]\n[]\n{two}\n")),
        python("empty-array", "[ \n ]\n"),
        python(
            "pretty",
            "{\n  \"name\": \"a\",\n  \"n\": 1\n}\n{\n  \"n\": 2,\n  \"name\": \"b\"\n}\n",
        ),
        python("array-with-wrong", format!("[{one},{{\"n\":3}},7,{two}]")),
    ];
    cases.extend([
        case("cut-off", format!("{two}\n{{\"name\":\"a\""), Right::Is(broken, 1)),
        case(
            "broken",
            format!("{{\n{two}\n{{]}}\n").replace("{\n", "{ \"x\n"),
            Right::Is(broken, 2),
        ),
        case(
            "not-utf8",
            [two.as_bytes(), b"\n{\"name\":\"\xff\",\"n\":1}\n"].concat(),
            Right::Is(broken, 1),
        ),
        case(
            "not-a-number",
            format!("{{\"name\":\"a\",\"n\":NaN}}\n{two}\n"),
            Right::Is(broken, 1),
        ),
        case(
            "lone-surrogate",
            format!("{{\"name\":\"\\ud800\",\"n\":1}}\n{two}\n"),
            Right::Is(broken, 1),
        ),
        case("by-position", format!("{two}\n[\"a\",\"b\",1]\n"), Right::Is(broken, 1)),
        case("two-on-a-line", format!("{two}\n{one} {one}\n"), Right::Is(broken, 1)),
        lines_only(case("array-cut-off", format!("[{two},{{\"name\":"), Right::Is(broken, 1))),
        lines_only(case("array-without-end", format!("[{two}\n"), Right::Is(broken, 1))),
        lines_only(case("array-with-comma", format!("[{two},]\n"), Right::Is(broken, 1))),
        lines_only(case(
            "line-broken-off",
            format!("{{\"name\":\"a\",\n{two}\n"),
            Right::Is(broken, 1),
        )),
    ]);
    for case in &mut cases {
        case.followed &=
            !["array", "empty", "pretty"].iter().any(|kind| case.name.starts_with(kind));
    }
    cases
}
