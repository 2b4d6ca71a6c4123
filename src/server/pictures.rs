//! Pictures of many days, drawn as inline SVG without a script.
//!
//! Pure. The drawing is stretched to whatever room there is; the words beside it are HTML, so that they are readable at
//! every width. What a picture shows is told in its title and description too, and each day tells its figure where a pointer
//! rests on it.

use std::fmt::Write;

use chrono::NaiveDate;
use maud::{Markup, PreEscaped, html};

/// Units of the drawing: so wide is a day, so high is all of it.
const DAY: f64 = 10.0;
const HEIGHT: f64 = 100.0;

/// How much higher a bar must be than the next, so that it is cut: the others would not be seen beside it. Of few bars none
/// is cut, and no more than some.
const OUTLIER: f64 = 8.0;
const FEW: usize = 5;
const MOST_CUT: usize = 4;

/// How far labels of a scale are apart at least.
const APART: f64 = 12.0;

/// A row of bars, or two: one up, one down.
pub(super) struct Bars<'b> {
    /// What they show.
    pub title: &'b str,
    /// The days.
    pub days: &'b [NaiveDate],
    /// The bars that go up: what they are called, their class, a figure a day.
    pub up: Series<'b>,
    /// Those that go down.
    pub down: Option<Series<'b>>,
    /// A line over them.
    pub line: Option<Series<'b>>,
    /// A figure in words.
    pub tell: fn(f64) -> String,
    /// What the period came to, in words.
    pub sum: String,
}

/// One figure a day.
pub(super) struct Series<'b> {
    /// What it is called.
    pub name: &'b str,
    /// Its class in the style sheet.
    pub class: &'b str,
    /// The figures.
    pub figures: Vec<f64>,
}

/// The least of 1, 2 and 5 times a power of ten that is not less.
fn ceiling(figure: f64) -> f64 {
    if figure <= 0.0 {
        return 0.0;
    }
    let power = 10f64.powf(figure.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|n| n * power).find(|n| *n >= figure * 0.999_999).unwrap_or(figure)
}

/// Up to which figure bars are drawn. Those that stand far above all others are cut.
fn top(figures: &[f64]) -> f64 {
    let mut sorted: Vec<f64> = figures.iter().copied().filter(|figure| *figure > 0.0).collect();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let highest = sorted.first().copied().unwrap_or(0.0);
    if sorted.len() < FEW {
        return ceiling(highest);
    }
    let gap = |n: &usize| sorted[*n] > sorted[n + 1] * OUTLIER;
    match (0..MOST_CUT.min(sorted.len() - 1)).rev().find(gap) {
        Some(last_cut) => ceiling(sorted[last_cut + 1] * 1.2),
        None => ceiling(highest),
    }
}

/// Draws bars.
pub(super) fn bars(picture: &Bars<'_>) -> Markup {
    let down: &[f64] = picture.down.as_ref().map_or(&[], |series| &series.figures);
    let (above, below) = (top(&picture.up.figures), top(down));
    if above + below <= 0.0 {
        return nothing(picture.title);
    }
    let zero = HEIGHT * above / (above + below);
    let wide = DAY * picture.days.len() as f64;
    let mut svg = open(wide, picture.title, &described(picture));
    let scale = if above > 0.0 { zero / above } else { (HEIGHT - zero) / below };
    for y in [0.5, HEIGHT - 0.5] {
        let _ = write!(svg, "<line class=\"grid\" x1=\"0\" x2=\"{wide}\" y1=\"{y}\" y2=\"{y}\"/>");
    }
    for (n, figure) in picture.up.figures.iter().enumerate() {
        bar(&mut svg, picture.up.class, n, zero - (figure.min(above) * scale), figure.min(above) * scale);
        if *figure > above {
            cut(&mut svg, n, 6.0);
        }
    }
    for (n, figure) in down.iter().enumerate() {
        bar(&mut svg, picture.down.as_ref().map_or("", |s| s.class), n, zero, figure.min(below) * scale);
        if *figure > below {
            cut(&mut svg, n, HEIGHT - 9.0);
        }
    }
    if let Some(line) = &picture.line {
        let places = line.figures.iter().enumerate().filter(|(_, figure)| **figure > 0.0);
        let places = places.map(|(n, figure)| (DAY * (n as f64 + 0.5), zero - figure.min(above) * scale));
        polyline(&mut svg, line.class, places);
    }
    let _ = write!(svg, "<line class=\"base\" x1=\"0\" x2=\"{wide}\" y1=\"{zero:.1}\" y2=\"{zero:.1}\"/>");
    for (n, day) in picture.days.iter().enumerate() {
        hit(&mut svg, n, &told(picture, n, *day));
    }
    svg.push_str("</svg>");
    let mut labels = vec![(zero, "0".to_string())];
    if zero > APART {
        labels.push((0.0, (picture.tell)(above)));
    }
    if HEIGHT - zero > APART {
        labels.push((HEIGHT, (picture.tell)(below)));
    }
    let series: Vec<&Series<'_>> =
        [Some(&picture.up), picture.down.as_ref(), picture.line.as_ref()].into_iter().flatten().collect();
    let legend = html! {
        @if series.len() > 1 { @for series in series { span class={ "swatch " (series.class) } {} (series.name) " " } }
    };
    frame(picture.title, &picture.sum, &legend, &labels, svg, picture.days)
}

/// Draws a line: figures that are not counted from nothing.
pub(super) fn line(title: &str, days: &[NaiveDate], figures: &[f64], tell: fn(f64) -> String, sum: &str) -> Markup {
    let highest = figures.iter().copied().fold(0.0, f64::max);
    if highest <= 0.0 {
        return nothing(title);
    }
    let lowest = figures.iter().copied().fold(f64::MAX, f64::min);
    let (low, high) = around(lowest, highest);
    let wide = DAY * days.len() as f64;
    let described = format!(
        "From {} to {}: {} at first, {} at last, between {} and {}.",
        days.first().map(ToString::to_string).unwrap_or_default(),
        days.last().map(ToString::to_string).unwrap_or_default(),
        tell(figures.first().copied().unwrap_or(0.0)),
        tell(figures.last().copied().unwrap_or(0.0)),
        tell(lowest),
        tell(highest),
    );
    let mut svg = open(wide, title, &described);
    for y in [0.5, HEIGHT / 2.0, HEIGHT - 0.5] {
        let _ = write!(svg, "<line class=\"grid\" x1=\"0\" x2=\"{wide}\" y1=\"{y}\" y2=\"{y}\"/>");
    }
    let places = figures.iter().enumerate();
    let places = places.map(|(n, figure)| (DAY * (n as f64 + 0.5), HEIGHT * (high - figure) / (high - low)));
    polyline(&mut svg, "people", places);
    for (n, (day, figure)) in days.iter().zip(figures).enumerate() {
        hit(&mut svg, n, &format!("{day}: {}", tell(*figure)));
    }
    svg.push_str("</svg>");
    let labels = [(0.0, tell(high)), (HEIGHT / 2.0, tell((low + high) / 2.0)), (HEIGHT, tell(low))];
    frame(title, sum, &html! {}, &labels, svg, days)
}

/// Two round figures with all others between them. Where nearly nothing changes, the line is in the middle.
fn around(lowest: f64, highest: f64) -> (f64, f64) {
    let step = ceiling((highest - lowest).max(2.0) / 2.0);
    let low = (lowest / step).floor() * step;
    let high = (highest / step).ceil() * step;
    if high - low < step * 2.0 { ((low - step).max(0.0), (low - step).max(0.0) + step * 2.0) } else { (low, high) }
}

/// A picture of nothing.
fn nothing(title: &str) -> Markup {
    html! { figure class="picture" { figcaption { b { (title) } } p class="quiet nothing" { "Nothing within these days." } } }
}

fn open(wide: f64, title: &str, described: &str) -> String {
    let text = |text: &str| html! { (text) }.into_string();
    format!(
        "<svg viewBox=\"0 0 {wide} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\"><title>{}</title><desc>{}</desc>",
        text(title),
        text(described)
    )
}

fn bar(svg: &mut String, class: &str, n: usize, y: f64, height: f64) {
    if height > 0.0 {
        // What is there is seen, however little it is.
        let tall = height.max(1.5);
        let y = if y + height < HEIGHT && tall > height { y + height - tall } else { y };
        let x = DAY * n as f64 + 1.0;
        let _ = write!(
            svg,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y:.1}\" width=\"{}\" height=\"{tall:.1}\"/>",
            DAY - 2.0
        );
    }
}

/// A gap in a bar that is cut.
fn cut(svg: &mut String, n: usize, y: f64) {
    let x = DAY * n as f64;
    let _ = write!(svg, "<rect class=\"gap\" x=\"{x}\" y=\"{y:.1}\" width=\"{DAY}\" height=\"3\"/>");
}

fn polyline(svg: &mut String, class: &str, places: impl Iterator<Item = (f64, f64)>) {
    let points: Vec<String> = places.map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _ = write!(svg, "<polyline class=\"{class}\" points=\"{}\"/>", points.join(" "));
}

/// A day as a pointer finds it.
fn hit(svg: &mut String, n: usize, told: &str) {
    let told = html! { (told) }.into_string();
    let x = DAY * n as f64;
    let _ = write!(
        svg,
        "<rect class=\"hit\" x=\"{x}\" y=\"0\" width=\"{DAY}\" height=\"{HEIGHT}\"><title>{told}</title></rect>"
    );
}

/// A day in words.
fn told(picture: &Bars<'_>, n: usize, day: NaiveDate) -> String {
    let of = |series: &Series<'_>| {
        let figure = series.figures.get(n).copied().unwrap_or(0.0);
        (figure > 0.0).then(|| format!("{} {}", (picture.tell)(figure), series.name))
    };
    let parts: Vec<String> = [Some(&picture.up), picture.down.as_ref(), picture.line.as_ref()]
        .into_iter()
        .flatten()
        .filter_map(of)
        .collect();
    if parts.is_empty() { format!("{day}: none") } else { format!("{day}: {}", parts.join(", ")) }
}

fn described(picture: &Bars<'_>) -> String {
    let most = |series: &Series<'_>| {
        let best = series.figures.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        best.filter(|(_, figure)| **figure > 0.0).map(|(n, figure)| {
            let day = picture.days.get(n).map(ToString::to_string).unwrap_or_default();
            format!(" Most {} on {day}: {}.", series.name, (picture.tell)(*figure))
        })
    };
    let series = [Some(&picture.up), picture.down.as_ref()].into_iter().flatten();
    format!("{}.{}", picture.sum, series.filter_map(most).collect::<String>())
}

/// A picture with its words.
fn frame(title: &str, sum: &str, legend: &Markup, labels: &[(f64, String)], svg: String, days: &[NaiveDate]) -> Markup {
    let (first, last) = (days.first(), days.last());
    let middle = days.get(days.len() / 2);
    html! {
        figure class="picture" {
            figcaption { b { (title) } span class="legend" { (legend) } span class="hint" { (sum) } }
            div class="plot" {
                div class="scale" {
                    @for (at, label) in labels { span style={ "top:" (format!("{at:.1}")) "%" } { (label) } }
                }
                (PreEscaped(svg))
                div class="dates" {
                    @for day in [first, middle, last].into_iter().flatten() { span { (day.format("%-d %b")) } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(n: u32) -> Vec<NaiveDate> {
        (1..=n).filter_map(|day| NaiveDate::from_ymd_opt(2026, 11, day)).collect()
    }

    fn whole(figure: f64) -> String {
        format!("{figure:.0}")
    }

    fn drawn(up: &[f64], down: Option<&[f64]>) -> String {
        let days = days(u32::try_from(up.len()).expect("few"));
        let series = |name, class, figures: &[f64]| Series { name, class, figures: figures.to_vec() };
        let picture = Bars {
            title: "Joiners & leavers",
            days: &days,
            up: series("joined", "up", up),
            down: down.map(|figures| series("left", "down", figures)),
            line: None,
            tell: whole,
            sum: "3 joined".into(),
        };
        bars(&picture).into_string()
    }

    #[test]
    fn scales_end_with_round_figures() {
        for (figure, expected) in
            [(0.0, 0.0), (1.0, 1.0), (3.0, 5.0), (5.0, 5.0), (7.0, 10.0), (412.0, 500.0), (0.3, 0.5)]
        {
            assert!((ceiling(figure) - expected).abs() < 1e-9, "{figure}");
        }
        for (lowest, highest, expected) in [
            (40_003.0, 40_011.0, (40_000.0, 40_015.0)),
            (7.0, 7.0, (6.0, 8.0)),
            (0.0, 3.0, (0.0, 4.0)),
            (40_037.0, 40_242.0, (40_000.0, 40_400.0)),
        ] {
            assert_eq!(around(lowest, highest), expected, "{lowest} {highest}");
        }
    }

    #[test]
    fn bars_go_up_and_down_from_one_line_and_share_a_scale() {
        let svg = drawn(&[5.0, 0.0, 2.0], Some(&[0.0, 5.0, 0.0]));
        assert!(svg.contains("<rect class=\"up\" x=\"1\" y=\"0.0\" width=\"8\" height=\"50.0\"/>"), "{svg}");
        assert!(svg.contains("<rect class=\"down\" x=\"11\" y=\"50.0\" width=\"8\" height=\"50.0\"/>"), "{svg}");
        assert!(svg.contains("<rect class=\"up\" x=\"21\" y=\"30.0\" width=\"8\" height=\"20.0\"/>"), "{svg}");
        assert!(svg.contains("<title>2026-11-02: 5 left</title>") && svg.contains("Joiners &amp; leavers"), "{svg}");
        assert!(svg.contains("Most left on 2026-11-02: 5."), "{svg}");
        assert!(!svg.contains("class=\"gap\""), "{svg}");
    }

    #[test]
    fn a_first_load_is_cut_so_that_other_days_are_seen() {
        let svg = drawn(&[40_000.0, 3.0, 4.0, 300.0, 2.0, 1.0], None);
        assert!(svg.contains("2026-11-01: 40000 joined"), "{svg}");
        assert_eq!(svg.matches("class=\"gap\"").count(), 2, "{svg}");
        assert!(svg.contains("x=\"21\" y=\"20.0\" width=\"8\" height=\"80.0\""), "4 of 5: {svg}");
        assert!(!drawn(&[40_000.0, 3.0], None).contains("class=\"gap\""), "of two there is room for both");
    }

    #[test]
    fn nothing_is_said_where_nothing_was() {
        let svg = drawn(&[0.0, 0.0], Some(&[0.0, 0.0]));
        assert!(svg.contains("Nothing within these days.") && !svg.contains("<svg"), "{svg}");
        let none = line("People", &days(2), &[0.0, 0.0], whole, "").into_string();
        assert!(none.contains("Nothing within these days."), "{none}");
        let only_down = drawn(&[0.0, 0.0], Some(&[0.0, 2.0]));
        assert!(
            only_down.contains("<rect class=\"down\" x=\"11\" y=\"0.0\" width=\"8\" height=\"100.0\"/>"),
            "{only_down}"
        );
    }

    #[test]
    fn a_line_goes_through_its_figures_and_tells_them() {
        let svg = line("People", &days(3), &[10.0, 12.0, 11.0], whole, "11").into_string();
        assert!(svg.contains("points=\"5.0,100.0 15.0,0.0 25.0,50.0\""), "{svg}");
        assert!(svg.contains("From 2026-11-01 to 2026-11-03: 10 at first, 11 at last, between 10 and 12."), "{svg}");
        assert!(svg.contains("<title>2026-11-02: 12</title>"), "{svg}");
    }
}
