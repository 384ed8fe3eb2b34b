#![allow(warnings)]
use dstream_runtime::exec::call::*;
use dstream_runtime::exec::head::*;
use dstream_runtime::exec::job::*;
use dstream_runtime::exec::tail::*;
use dstream_runtime::id::*;
use dstream_runtime::source::decode::TextLines;

pub fn build(pattern: &'static String, b: &mut Builder) {
    let lines = b.source::<TextLines>(SourceId(0), "generate://words");
    let prefix = String::from("x");
    // stage 0
    let (t0, (t1, (t2, (t9, ())))) = {
        let prefix = ::core::clone::Clone::clone(&prefix);
        b.stage(StageId(0), lines, move |lines, out: &mut (Combine<_, _, _>, (Output<_>, (Top<_, _>, (Fold<_,_>, ()))))| {
        for words in items(call(lines, |l| l.split_whitespace())) {
            let words = as_view(&words);
            let ones = call(words, |w| (w, 1u64));
            let ones = as_view(&ones);
            out.0.push(ones);
            if test(words, |w| w.contains(pattern.as_str()) && w != prefix) {
                out.1.0.push(words);
                let top = call(ones, |(_, n)| n);
                out.1.1.0.push(top, ones);
                let lens = call(words, |w| w.len() as u64);
                let lens = as_view(&lens);
                out.1.1.1.0.push(lens);
            }
            let s = call(words, |w| w.to_uppercase());
            let s = as_view(&s);
        }
    })};
    let sum = reduce([t9], |acc, x| { let next = into_record(call2(view(&*acc), x, |a, b| a.max(b))); *acc = next; });
    let counts = combined([t0], |acc, x| { let next = into_record(call2(view(&*acc), x, |a, b| a + b)); *acc = next; });
    b.output(OutputId(0), t1, "none:");
    // stage 1
    let (t3, (t4, (t5, ()))) = b.stage(StageId(1), merge(&counts), |counts, out: &mut (Output<_>, (Spread<_, _, true>, (Spread<_,_,false>, ())))| {
        out.0.push(counts);
        out.1.0.push(counts);
        let (k, v) = pair(counts);
        let y = call(v, |n| if n > 3 { "many" } else { "few" });
        let y = (k, as_view(&y));
        out.1.1.0.push(y);
    });
    let panes = keyed([t4]);
    let inv = window_reduce_inverse(&panes, Span { batches: 30 },
        |acc, x| { let next = into_record(call2(view(&*acc), x, |a, b| a + b)); *acc = next; },
        |acc, x| { let next = into_record(call2(view(&*acc), x, |a, b| a - b)); *acc = next; });
    let (t6, ()) = b.stage(StageId(2), inv, |windowed, out: &mut (Spread<_, _, false>, ())| {
        out.0.push(windowed);
    });
    let l = keyed([t6]);
    let r = keyed([t5]);
    let (t7, ()) = b.stage(StageId(3), join(&l, &r), |joined, out: &mut (Output<_>, ())| {
        let z = call(joined, |(word, (n, size))| (size, word, n.checked_add(1)));
        let z = as_view(&z);
        out.0.push(z);
    });
    b.output(OutputId(1), t7, "none:");
}
fn main() {}
