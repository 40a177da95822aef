//! A plot of a group: a panel for each line of its table, a bar for each subject, a thin line from the smallest round to
//! the largest.
//!
//! Panels have scales of their own, because lines of a group have units of their own; the numbers stand at the bars. It
//! has no background, middling colours, and text that turns light where the reader prefers a dark page.

use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{PathElement, Rectangle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, IntoFont, RGBColor, TextStyle};

use super::group::{Group, Line, lack_in_words};
use super::number::short;
use crate::FASTCACHE;
use crate::results::{Better, Row};
use crate::statistics::Summary;

/// FastCache stands out; the others need no colours of their own, their names stand beside their bars.
const OURS: RGBColor = RGBColor(0xe8, 0x59, 0x0c);
const THEIRS: RGBColor = RGBColor(0x74, 0x8c, 0xa8);
const RANGE: RGBColor = RGBColor(0x80, 0x80, 0x80);

/// All in pixels. A page is about 900 wide: two panels; three are scaled down a little.
const BAR_AND_NUMBER: i32 = 290;
/// A letter of the names beside the bars, with what the widest font needs.
const LETTER: i32 = 7;
const BAR_HEIGHT: i32 = 14;
const BAR_DISTANCE: i32 = 20;
const TITLE_HEIGHT: i32 = 44;
const MARGIN: i32 = 12;
/// The longest bar: right of it there is room for a number.
const LONGEST: f64 = 200.0;

/// The library divides by 1.24: this is 12 pixels.
const FONT_SIZE: f64 = 15.0;

/// The text's colour comes from here: what the library writes beside it counts less than a style. A reader without a
/// preference gets one that can be read on both.
const STYLE: &str = "<style>text{fill:#6e7781}\
    @media(prefers-color-scheme:light){text{fill:#1f2328}}\
    @media(prefers-color-scheme:dark){text{fill:#d1d7e0}}</style>";

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = anyhow::Result<()>;

/// The plot of a group as SVG.
///
/// # Errors
/// When the library cannot draw.
pub fn svg(group: &Group<'_>) -> anyhow::Result<String> {
    let columns = columns(group);
    let rows = group.lines.len().div_ceil(columns);
    let panel_height = TITLE_HEIGHT + BAR_DISTANCE * group.subjects.len() as i32 + MARGIN;
    let bars_at = bars_at(group);
    let panel_width = (bars_at + BAR_AND_NUMBER).unsigned_abs();
    let size = (panel_width * columns as u32, panel_height.unsigned_abs() * rows as u32);
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, size).into_drawing_area();
        let panels = root.split_evenly((rows, columns));
        for (line, panel) in group.lines.iter().zip(&panels) {
            draw_panel(panel, line, bars_at)?;
        }
        root.present()?;
    }
    Ok(with_style(&text))
}

/// The metrics of a scenario stand beside each other.
fn columns(group: &Group<'_>) -> usize {
    let first = group.lines.first().map_or("", |line| line.scenario);
    match group.lines.iter().take_while(|line| line.scenario == first).count() {
        0 | 1 => 2,
        count => count.min(3),
    }
}

/// Right of the longest name.
fn bars_at(group: &Group<'_>) -> i32 {
    let longest = group.subjects.iter().map(|subject| subject.chars().count()).max().unwrap_or(0);
    2 * MARGIN + LETTER * longest as i32
}

fn draw_panel(panel: &Area<'_>, line: &Line<'_>, bars_at: i32) -> Drawn {
    let direction = match line.better {
        Better::Lower => "less is better",
        Better::Higher => "more is better",
        Better::Neither => "no contest",
    };
    write(panel, line.scenario, (MARGIN, MARGIN), HPos::Left)?;
    write(panel, &format!("{} ({direction})", line.measure()), (MARGIN, MARGIN + 15), HPos::Left)?;
    let most = line.rows().filter_map(Row::summary).map(|summary| summary.max).fold(0.0, f64::max);
    for (index, row) in line.rows().enumerate() {
        draw_bar(panel, row, most, (bars_at, TITLE_HEIGHT + BAR_DISTANCE * index as i32))?;
    }
    Ok(())
}

fn draw_bar(panel: &Area<'_>, row: &Row, most: f64, (left, top): (i32, i32)) -> Drawn {
    let middle = top + BAR_HEIGHT / 2;
    write(panel, &row.subject, (left - 6, middle), HPos::Right)?;
    let (Some(summary), None) = (row.summary(), &row.lack) else {
        let word = row.lack.as_ref().map_or("MISSING", |lack| lack_in_words(lack).0);
        return write(panel, word, (left + 4, middle), HPos::Left);
    };
    let end = |value: f64| left + length(value, most);
    let colour = if row.subject == FASTCACHE { OURS } else { THEIRS };
    panel.draw(&Rectangle::new([(left, top), (end(summary.median), top + BAR_HEIGHT)], colour.filled()))?;
    let Summary { median, min, max } = summary;
    panel.draw(&PathElement::new([(end(min), middle), (end(max), middle)], RANGE))?;
    write(panel, &short(median), (end(max) + 5, middle), HPos::Left)
}

/// Below zero there is no bar: the number tells.
fn length(value: f64, most: f64) -> i32 {
    if most > 0.0 { (LONGEST * value.max(0.0) / most).round() as i32 } else { 0 }
}

fn write(panel: &Area<'_>, text: &str, at: (i32, i32), side: HPos) -> Drawn {
    let style = TextStyle::from(("sans-serif", FONT_SIZE).into_font()).pos(Pos::new(side, VPos::Center));
    panel.draw(&Text::new(text.to_owned(), at, style))?;
    Ok(())
}

/// Right behind the opening tag.
fn with_style(svg: &str) -> String {
    match svg.find("<svg").and_then(|start| svg[start..].find('>').map(|end| start + end + 1)) {
        Some(at) => format!("{}\n{STYLE}{}", &svg[..at], &svg[at..]),
        None => svg.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::group::{groups, tests::example};

    #[test]
    fn every_subject_of_every_line_is_drawn() {
        let record = example();
        let groups = groups(&record);
        let svg = svg(&groups[0]).unwrap();
        // Two lines with a proxy's CPU time, two with everybody's throughput.
        assert_eq!(svg.matches("FastCache").count(), 4, "{svg}");
        assert_eq!(svg.matches("no proxy").count(), 2);
        assert_eq!(svg.matches("not there").count(), 4);
        assert_eq!(svg.matches("wrong values").count(), 2);
        assert_eq!(svg.matches("#E8590C").count(), 2, "FastCache has two numbers");
        assert!(svg.contains("prefers-color-scheme:dark"));
        assert!(svg.find("<style>").unwrap() < svg.find("<text").unwrap());
    }

    #[test]
    fn lengths_follow_the_values() {
        assert_eq!(length(10.0, 10.0), 200);
        assert_eq!(length(5.0, 10.0), 100);
        assert_eq!(length(-5.0, 10.0), 0);
        assert_eq!(length(0.0, 0.0), 0);
    }
}
