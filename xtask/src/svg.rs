//! The few elements of SVG that the plots are made of.

use std::fmt::Write;

/// Colours of lines, in the order in which they are taken.
pub const COLOURS: [&str; 6] = ["#1f6feb", "#d1242f", "#1a7f37", "#9a6700", "#8250df", "#57606a"];
/// Axes and their labels.
pub const GREY: &str = "#57606a";
/// Lines of a grid.
pub const LIGHT: &str = "#d0d7de";

/// A white page with a title at (`x`, 18); to be closed with `</svg>`.
pub fn page([width, height]: [f64; 2], x: f64, title: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n\
         <text x=\"{x}\" y=\"18\" font-size=\"13\">{}</text>\n",
        escape(title),
    )
}

/// A line along points; `dash` is a further attribute.
pub fn path(text: &mut String, points: &str, colour: &str, dash: &str) {
    let _ = writeln!(text, "<path d=\"{points}\" fill=\"none\" stroke=\"{colour}\"{dash}/>");
}

/// Words at a place; `anchor` is `start`, `middle` or `end`.
pub fn label(text: &mut String, [x, y]: [f64; 2], anchor: &str, colour: &str, words: &str) {
    let words = escape(words);
    let _ = writeln!(
        text,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{words}</text>"
    );
}

/// A filled rectangle from its upper left corner.
pub fn bar(text: &mut String, [x, y]: [f64; 2], [width, height]: [f64; 2], colour: &str) {
    let _ = writeln!(
        text,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{colour}\"/>"
    );
}

/// A filled dot; its title is shown under the pointer.
pub fn dot(text: &mut String, [x, y]: [f64; 2], colour: &str, title: &str) {
    let title = escape(title);
    let _ = writeln!(
        text,
        "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"><title>{title}</title></circle>"
    );
}

/// Words as the text of an element, or as an attribute between double quotes.
pub fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;")
}

/// The colour of one of many: those beyond the common colours take darker ones.
pub fn colour(at: usize) -> &'static str {
    const MORE: [&str; 4] = ["#bf3989", "#0a3069", "#24292f", "#bc4c00"];
    COLOURS.iter().chain(&MORE).nth(at % (COLOURS.len() + MORE.len())).unwrap_or(&GREY)
}
