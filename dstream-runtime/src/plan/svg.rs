//! The physical plan as a picture: stages as boxes of operators, sources and outputs, and the dependencies
//! between partitions.
//!
//! One self-contained SVG: no scripts or references, all text escaped, readable on any background.

mod ink;
mod stage_box;

use ink::{escaped, push, rect, sans, text};
use stage_box::StageBox;

use super::layout::{Layout, Point, Size, layered};
use super::text::shortened;
use super::{Dependency, OutputRow, Plan, SourceRow, Tasks, words};
use crate::id::{StageId, TailId};

/// Margin of the picture.
const MARGIN: i32 = 28;
/// Height of the title above it and of the legend below it.
const TITLE: i32 = 58;
const LEGEND: i32 = 54;
const PILL: i32 = 40;
/// Padding of a box.
const PADDING: i32 = 12;
/// Longest line of text, in characters.
const LONGEST: usize = 60;

const SANS: &str =
    "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, 'DejaVu Sans', sans-serif";

const STYLE: &str = "\
    .page { fill: #ffffff } \
    .title { font-size: 18px; font-weight: 600; fill: #111827 } \
    .note { font-size: 12px; fill: #6b7280 } \
    .box { fill: #ffffff; stroke: #9ca3af } \
    .head { fill: #f3f4f6 } \
    .stage { font-size: 12px; font-weight: 600; fill: #111827 } \
    .side { font-size: 11px; fill: #6b7280 } \
    .operator { font-size: 12px; fill: #111827 } \
    .stream { fill: #6b7280 } \
    .state { fill: #fef3c7 } .state-text { font-size: 11px; fill: #78350f } \
    .source { fill: #ecfdf5; stroke: #059669 } .source-text { fill: #065f46 } \
    .output { fill: #eff6ff; stroke: #2563eb } .output-text { fill: #1e3a8a } \
    .pill { font-size: 13px; font-weight: 600 } \
    .edge { fill: none } \
    .narrow { stroke: #6b7280; stroke-width: 1.5 } .narrow-tip { fill: #6b7280 } \
    .shuffle { stroke: #7c3aed; stroke-width: 3 } .shuffle-tip { fill: #7c3aed } \
    .gather { stroke: #c2410c; stroke-width: 2; stroke-dasharray: 6 4 } .gather-tip { fill: #c2410c }";

/// One box of the picture.
enum Shape<'p> {
    Source(&'p SourceRow),
    Stage(StageBox),
    Output(&'p OutputRow),
}

/// One arrow.
struct Edge {
    ends: (usize, usize),
    kind: Dependency,
    about: String,
}

/// The plan as a self-contained SVG document.
#[must_use]
pub fn svg(plan: &Plan) -> String {
    let mut shapes: Vec<Shape<'_>> = plan.sources.iter().map(Shape::Source).collect();
    shapes.extend(plan.stages.iter().map(|stage| Shape::Stage(StageBox::new(plan, stage))));
    shapes.extend(plan.outputs.iter().map(Shape::Output));
    let edges = edges(plan);
    let sizes: Vec<Size> = shapes.iter().map(Shape::size).collect();
    let ends: Vec<_> = edges.iter().map(|edge| edge.ends).collect();
    let layout = layered(&sizes, &ends);
    draw(plan, &shapes, &sizes, &edges, &layout)
}

fn edges(plan: &Plan) -> Vec<Edge> {
    let first_stage = plan.sources.len();
    let stage_at = |id: StageId| first_stage + id.index();
    let mut edges = Vec::new();
    for (i, stage) in plan.stages.iter().enumerate() {
        let to = first_stage + i;
        if let Tasks::PerRange(source) = stage.tasks {
            let about = "a range per task".to_owned();
            edges.push(Edge { ends: (source.index(), to), kind: Dependency::Narrow, about });
        }
        for input in stage.inputs {
            for (from, tail) in input.from {
                let kind = input.dependency;
                let made = plan.stage(*from).tails.get(tail.index());
                let made = made.map_or("", |tail| words::tail(*tail));
                let about = format!("{}: {} ({made})", words::dependency(kind), words::needs(kind));
                edges.push(Edge { ends: (stage_at(*from), to), kind, about });
            }
        }
    }
    for (i, output) in plan.outputs.iter().enumerate() {
        let to = first_stage + plan.stages.len() + i;
        let about = format!("{} of {}", TailId(output.tail.0), plan.stage(output.stage).name);
        let ends = (stage_at(output.stage), to);
        edges.push(Edge { ends, kind: Dependency::Narrow, about });
    }
    edges
}

impl Shape<'_> {
    fn size(&self) -> Size {
        match self {
            Self::Stage(stage) => stage.size(),
            Self::Source(_) | Self::Output(_) => {
                let (name, about) = self.pill();
                let width = sans(&name, 13).max(sans(&about, 11)) + 2 * PADDING + 12;
                Size { width, height: PILL }
            }
        }
    }

    /// Name and kind of a source or output.
    fn pill(&self) -> (String, String) {
        match self {
            Self::Source(row) => (shortened(row.name, LONGEST), "source".to_owned()),
            Self::Output(OutputRow { name, print: Some(n), .. }) => {
                (shortened(name, LONGEST), format!("prints the first {n}"))
            }
            Self::Output(row) => (shortened(row.name, LONGEST), "output".to_owned()),
            Self::Stage(stage) => (stage.title.clone(), stage.tasks.clone()),
        }
    }

    fn draw(&self, out: &mut String, at: Point, size: Size) {
        let class = match self {
            Self::Stage(stage) => return stage.draw(out, at, size),
            Self::Source(_) => "source",
            Self::Output(_) => "output",
        };
        let (name, about) = self.pill();
        rect(out, class, at, size, PILL / 2);
        let middle = at.x + size.width / 2;
        for (style, y, words) in [("pill", 18, name), ("side", 32, about)] {
            push(
                out,
                format_args!(
                    "<text class=\"{style} {class}-text\" x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n",
                    at.y + y,
                    escaped(&words)
                ),
            );
        }
    }
}

fn draw(
    plan: &Plan,
    shapes: &[Shape<'_>],
    sizes: &[Size],
    edges: &[Edge],
    layout: &Layout,
) -> String {
    let interval = words::duration(plan.interval_ms);
    let note = format!("batch interval {interval} · plan {:016x}", plan.hash);
    let width =
        (layout.size.width).max(sans(plan.job, 18)).max(sans(&note, 12)).max(460) + 2 * MARGIN;
    let height = layout.size.height + TITLE + LEGEND + 2 * MARGIN;
    let mut out = String::new();
    push(
        &mut out,
        format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\" font-family=\"{SANS}\">\n<title>{}</title>\n<style>{STYLE}</style>\n",
            escaped(plan.job)
        ),
    );
    arrow_tips(&mut out);
    push(&mut out, format_args!("<rect class=\"page\" width=\"{width}\" height=\"{height}\"/>\n"));
    text(&mut out, "title", MARGIN, MARGIN + 14, plan.job);
    text(&mut out, "note", MARGIN, MARGIN + 34, &note);
    let origin = Point { x: (width - layout.size.width) / 2, y: MARGIN + TITLE };
    push(&mut out, format_args!("<g transform=\"translate({} {})\">\n", origin.x, origin.y));
    for (edge, route) in edges.iter().zip(&layout.routes) {
        arrow(&mut out, edge, route);
    }
    for ((shape, at), size) in shapes.iter().zip(&layout.boxes).zip(sizes) {
        shape.draw(&mut out, *at, *size);
    }
    out.push_str("</g>\n");
    legend(&mut out, height - MARGIN - 6);
    out.push_str("</svg>\n");
    out
}

fn arrow_tips(out: &mut String) {
    out.push_str("<defs>\n");
    for kind in [Dependency::Narrow, Dependency::Shuffle, Dependency::Gather] {
        let kind = words::dependency(kind);
        push(
            out,
            format_args!(
                "<marker id=\"{kind}\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"10\" \
                 markerHeight=\"10\" markerUnits=\"userSpaceOnUse\" orient=\"auto\">\
                 <path class=\"{kind}-tip\" d=\"M0 0 L10 5 L0 10 z\"/></marker>\n"
            ),
        );
    }
    out.push_str("</defs>\n");
}

fn arrow(out: &mut String, edge: &Edge, route: &[Point]) {
    let kind = words::dependency(edge.kind);
    let mut path = String::new();
    for (i, pair) in route.chunks_exact(2).enumerate() {
        let (from, to) = (pair[0], pair[1]);
        let middle = i32::midpoint(from.x, to.x);
        let start = if i == 0 { 'M' } else { 'L' };
        push(&mut path, format_args!("{start}{} {} ", from.x, from.y));
        push(&mut path, format_args!("C{middle} {} {middle} {} {} {} ", from.y, to.y, to.x, to.y));
    }
    push(
        out,
        format_args!(
            "<path class=\"edge {kind}\" d=\"{}\" marker-end=\"url(#{kind})\"><title>{}</title></path>\n",
            path.trim_end(),
            escaped(&edge.about)
        ),
    );
}

fn legend(out: &mut String, y: i32) {
    let mut x = MARGIN;
    for kind in [Dependency::Narrow, Dependency::Shuffle, Dependency::Gather] {
        let name = words::dependency(kind);
        let end = x + 40;
        push(
            out,
            format_args!(
                "<path class=\"edge {name}\" d=\"M{x} {} H{end}\" marker-end=\"url(#{name})\"/>\n",
                y - 4
            ),
        );
        let words = format!("{name}: {}", words::needs(kind));
        text(out, "note", end + 8, y, &words);
        x = end + 8 + sans(&words, 12) + 26;
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::PLAN;
    use super::*;

    #[test]
    fn every_box_and_arrow_is_drawn() {
        let svg = svg(&PLAN);
        let count = |what: &str| svg.matches(what).count();
        assert_eq!(count("class=\"stage\""), PLAN.stages.len());
        assert_eq!(count("class=\"source\""), PLAN.sources.len());
        assert_eq!(count("class=\"output\""), PLAN.outputs.len());
        // One more of each in the legend.
        assert_eq!(count("class=\"edge shuffle\""), 2 + 1);
        assert_eq!(count("class=\"edge gather\""), 2 + 1);
        assert_eq!(count("class=\"edge narrow\""), 2 + 2 + 3 + 1);
        for operator in ["running_reduce", "reduce_by_key_and_window", "top_k", "key_by"] {
            assert!(svg.contains(&format!(">{operator}<")), "{operator}");
        }
        assert!(svg.contains("keeps 30 panes of 1 batch (1s)"));
    }

    #[test]
    fn tags_are_balanced_and_nothing_is_fetched() {
        let svg = svg(&PLAN);
        for tag in ["svg", "g", "text", "title", "style", "defs", "marker", "path", "tspan"] {
            let start = format!("<{tag} ");
            let opened = svg.matches(&start).count() + svg.matches(&format!("<{tag}>")).count();
            let empty = svg
                .split(&start)
                .skip(1)
                .filter(|rest| rest.split('>').next().unwrap().ends_with('/'))
                .count();
            assert_eq!(opened - empty, svg.matches(&format!("</{tag}>")).count(), "{tag}");
        }
        assert!(!svg.contains("href") && !svg.contains("<script"));
    }
}
