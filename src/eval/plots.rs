//! Small SVG plots. Only numbers go in; colours are the page's classes, so that light and dark both work.

use std::fmt::Write as _;

use super::metrics::Bin;

const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 40.0;
const BOTTOM: f64 = 28.0;
const TOP: f64 = 10.0;
const RIGHT: f64 = 10.0;

/// Error rate against the share of questions answered, from the surest on.
pub fn risk_coverage(curve: &[(f64, f64)]) -> String {
    let most = curve.iter().map(|(_, risk)| *risk).fold(0.05, f64::max).min(1.0);
    let most = (most * 25.0).ceil() / 25.0; // Four equal steps that two digits hold.
    let mut plot = Plot::new(most, "coverage / 覆盖率", "risk / 错误率");
    plot.line(curve, "line");
    plot.end()
}

/// Share of right ones against confidence, a dot per bin, its size by the questions in it.
pub fn reliability(bins: &[Bin]) -> String {
    let mut plot = Plot::new(1.0, "confidence / 置信度", "right / 正确");
    plot.line(&[(0.0, 0.0), (1.0, 1.0)], "ideal");
    let most = bins.iter().map(|bin| bin.n).max().unwrap_or(1) as f64;
    for bin in bins {
        let radius = 2.0 + 4.0 * (bin.n as f64 / most).sqrt();
        let (x, y) = plot.at(bin.confidence, bin.right);
        plot.add(&format!("<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\"/>"));
    }
    plot.end()
}

/// How confidences are spread: right ones upwards in front, the others behind; the lines are answer thresholds.
pub fn histogram(right: &[f64], others: &[f64], thresholds: &[f64]) -> String {
    const BARS: usize = 20;
    let count = |values: &[f64]| {
        let mut bars = [0usize; BARS];
        for value in values {
            bars[((value * BARS as f64) as usize).min(BARS - 1)] += 1;
        }
        bars
    };
    let (right, others) = (count(right), count(others));
    // Four equal steps of whole questions.
    let most = (right.iter().chain(&others).copied().max().unwrap_or(0).max(1).div_ceil(4) * 4) as f64;
    let mut plot = Plot::new(most, "confidence / 置信度", "questions / 问题数");
    for (at, (right, others)) in right.iter().zip(&others).enumerate() {
        let share = at as f64 / BARS as f64;
        plot.bar(share, *others as f64, 0.0, "bar-other");
        plot.bar(share, *right as f64, 0.5, "bar-right");
    }
    for threshold in thresholds {
        plot.line(&[(*threshold, 0.0), (*threshold, most)], "threshold");
    }
    plot.end()
}

struct Plot {
    svg: String,
    most: f64,
}

impl Plot {
    /// x runs over [0, 1], y over [0, most].
    fn new(most: f64, x_label: &str, y_label: &str) -> Plot {
        let mut plot = Plot {
            svg: format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{y_label}, {x_label}\">"),
            most,
        };
        for step in 0..=4 {
            let share = f64::from(step) / 4.0;
            let (x, y) = (plot.at(share, 0.0).0, plot.at(0.0, share * most).1);
            let (left, bottom) = plot.at(0.0, 0.0);
            let (end, _) = plot.at(1.0, 0.0);
            let value = share * most;
            let value = if most > 1.5 { format!("{value:.0}") } else { format!("{value:.2}") };
            plot.add(&format!("<path class=\"grid\" d=\"M{left:.1} {y:.1}H{end:.1}\"/>"));
            plot.add(&format!(
                "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{share:.2}</text>",
                bottom + 11.0
            ));
            plot.add(&format!("<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>", left - 4.0, y + 3.0));
        }
        let middle = 0.5 * (LEFT + WIDTH - RIGHT);
        plot.add(&format!("<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{x_label}</text>", HEIGHT - 5.0));
        plot.add(&format!("<text x=\"{:.1}\" y=\"{:.1}\">{y_label}</text>", LEFT + 4.0, TOP + 6.0));
        plot
    }

    fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let y = (y / self.most).clamp(0.0, 1.0);
        (LEFT + x.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT), TOP + (1.0 - y) * (HEIGHT - TOP - BOTTOM))
    }

    fn add(&mut self, piece: &str) {
        self.svg.push_str(piece);
    }

    fn line(&mut self, points: &[(f64, f64)], class: &str) {
        let mut path = String::new();
        // A screen has no more columns than this.
        let every = points.len().div_ceil(700).max(1);
        for (at, (x, y)) in points.iter().enumerate().filter(|(at, _)| at % every == 0 || at + 1 == points.len()) {
            let (x, y) = self.at(*x, *y);
            let _ = write!(path, "{}{x:.1} {y:.1}", if at == 0 { 'M' } else { 'L' });
        }
        self.add(&format!("<path class=\"{class}\" d=\"{path}\"/>"));
    }

    fn bar(&mut self, x: f64, value: f64, shift: f64, class: &str) {
        let wide = (WIDTH - LEFT - RIGHT) / 20.0;
        let (left, bottom) = self.at(x, 0.0);
        let (_, top) = self.at(x, value);
        let left = left + shift * wide;
        self.add(&format!(
            "<rect class=\"{class}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
            0.45 * wide,
            bottom - top
        ));
    }

    fn end(mut self) -> String {
        self.svg.push_str("</svg>");
        self.svg
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plot_is_well_formed_even_without_points() {
        let bins = [Bin { confidence: 0.2, right: 0.1, n: 4 }, Bin { confidence: 0.9, right: 1.0, n: 9 }];
        let full =
            [risk_coverage(&[(0.5, 0.0), (1.0, 0.2)]), reliability(&bins), histogram(&[0.9, 1.0], &[0.1], &[0.7])];
        let empty = [risk_coverage(&[]), reliability(&[]), histogram(&[], &[], &[])];
        for svg in full.iter().chain(&empty) {
            assert!(
                svg.starts_with("<svg") && svg.ends_with("</svg>") && !svg.contains("NaN") && !svg.contains("inf"),
                "{svg}"
            );
            assert_closed(svg);
        }
        assert_eq!(full[1].matches("<circle").count(), 2);
        assert_eq!(full[2].matches("class=\"threshold\"").count(), 1);
    }

    #[test]
    fn the_ticks_of_an_axis_are_evenly_apart() {
        let ticks = |svg: &str| -> Vec<f64> {
            let texts = svg.split("text-anchor=\"end\">").skip(1);
            texts.map(|text| text.split('<').next().unwrap().parse().unwrap()).collect()
        };
        for most in [1, 2, 3, 5, 7, 10] {
            let ticks = ticks(&histogram(&vec![0.9; most], &[], &[]));
            assert_eq!(ticks.len(), 5);
            assert!(ticks.windows(2).all(|two| two[1] - two[0] == ticks[1]) && ticks[4] >= most as f64, "{ticks:?}");
        }
        for risk in [0.0, 0.11, 0.2, 0.9, 1.0] {
            let ticks = ticks(&risk_coverage(&[(1.0, risk)]));
            assert!(ticks.windows(2).all(|two| (two[1] - two[0] - ticks[1]).abs() < 1e-9), "{ticks:?}");
        }
    }

    /// Every element is closed.
    fn assert_closed(svg: &str) {
        let opened = svg.matches('<').count() - svg.matches("</").count();
        assert_eq!(opened, svg.matches("/>").count() + svg.matches("</").count(), "{svg}");
    }
}
