//! Draws the delay of batches around a fault like the paper's figures 10 to 13: a line per run.

use std::fmt::Write as _;

/// A figure.
pub(super) struct Figure<'f> {
    pub(super) title: &'f str,
    /// The batches of each run, in order: their end in seconds after the fault, and their delay in
    /// milliseconds.
    pub(super) runs: &'f [Vec<(f64, f64)>],
    /// The aim: a delay, and its label.
    pub(super) aim: (f64, &'f str),
    /// The delay without a fault.
    pub(super) normal: f64,
    /// The time axis, in seconds after the fault.
    pub(super) span: (f64, f64),
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 280.0;
/// Edges of the plot.
const LEFT: f64 = 56.0;
const RIGHT: f64 = WIDTH - 16.0;
const TOP: f64 = 32.0;
const BOTTOM: f64 = HEIGHT - 44.0;
/// Colours of runs, repeated if there are more.
const COLOURS: [&str; 5] = ["#246", "#27a", "#5a3", "#a62", "#738"];

impl Figure<'_> {
    /// The figure as SVG.
    pub(super) fn svg(&self) -> String {
        let all = self.runs.iter().flatten().filter(|point| self.shows(point));
        let most = all.map(|(_, delay)| *delay).fold(self.aim.0, f64::max) * 1.1;
        let x = |at: f64| LEFT + (at - self.span.0) / (self.span.1 - self.span.0) * (RIGHT - LEFT);
        let y = |delay: f64| BOTTOM - delay / most * (BOTTOM - TOP);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"11\">\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n\
             <text x=\"{LEFT}\" y=\"18\" font-size=\"13\">{}</text>\n",
            self.title
        );
        // Writing to memory cannot fail.
        for delay in steps(most, 5.0) {
            let _ = writeln!(
                svg,
                "<line x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{0:.1}\" y2=\"{0:.1}\" stroke=\"#ddd\"/>\
                 <text x=\"{1}\" y=\"{2:.1}\" text-anchor=\"end\">{delay:.0}</text>",
                y(delay),
                LEFT - 6.0,
                y(delay) + 4.0
            );
        }
        let mut second = (self.span.0 / 2.0).ceil() * 2.0;
        while second <= self.span.1 {
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{second:+.0}</text>",
                x(second),
                BOTTOM + 14.0
            );
            second += 2.0;
        }
        for (delay, what, colour) in
            [(self.aim.0, self.aim.1, "#c22"), (self.normal, "normal, median", "#888")]
        {
            let _ = writeln!(
                svg,
                "<line x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{0:.1}\" y2=\"{0:.1}\" stroke=\"{colour}\" \
                 stroke-dasharray=\"4 3\"/><text x=\"{1}\" y=\"{2:.1}\" fill=\"{colour}\">{what}</text>",
                y(delay),
                LEFT + 4.0,
                y(delay) - 4.0
            );
        }
        let _ = writeln!(
            svg,
            "<line x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{TOP}\" y2=\"{BOTTOM}\" stroke=\"#c22\"/>",
            x(0.0)
        );
        for (run, colour) in self.runs.iter().zip(COLOURS.iter().cycle()) {
            let seen = run.iter().filter(|point| self.shows(point));
            let at: Vec<_> = seen.map(|(at, delay)| (x(*at), y(*delay))).collect();
            let line: Vec<_> = at.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let _ = writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.2\"/>",
                line.join(" ")
            );
            for (x, y) in at {
                let _ = writeln!(
                    svg,
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.2\" fill=\"{colour}\"/>"
                );
            }
        }
        let _ = writeln!(
            svg,
            "<text x=\"{LEFT}\" y=\"{0}\" fill=\"#666\">delay of results, ms, by the end of the batch, seconds \
             after the kill; runs: {1}</text>\n</svg>",
            HEIGHT - 8.0,
            self.runs.len()
        );
        svg
    }

    fn shows(&self, (at, _): &(f64, f64)) -> bool {
        (self.span.0..=self.span.1).contains(at)
    }
}

/// Round numbers from zero to `most`, about `about` of them.
fn steps(most: f64, about: f64) -> Vec<f64> {
    let rough = (most / about).max(1.0);
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|n| n * power).find(|step| *step >= rough);
    let step = step.unwrap_or(rough);
    (0..).map(|n| f64::from(n) * step).take_while(|at| *at <= most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_numbers() {
        assert_eq!(steps(1100.0, 5.0), [0.0, 500.0, 1000.0]);
        assert_eq!(steps(420.0, 5.0), [0.0, 100.0, 200.0, 300.0, 400.0]);
        assert_eq!(steps(0.0, 5.0), [0.0]);
    }

    #[test]
    fn batches_outside_of_the_span_are_not_drawn() {
        let runs = [vec![(-30.0, 5_000.0), (-1.0, 100.0), (0.5, 300.0), (20.0, 9_000.0)]];
        let aim = (1_000.0, "aim");
        let figure = Figure { title: "t", runs: &runs, aim, normal: 100.0, span: (-10.0, 10.0) };
        let svg = figure.svg();
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(svg.contains(">1000<") && !svg.contains(">2000<"), "the axis ends above the aim");
    }
}
