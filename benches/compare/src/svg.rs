//! The little of SVG that the plots need. They have a background of their own, so that they can be read
//! on a light page and on a dark one.

use std::fmt::Write;

pub const INK: &str = "#1f2328";
pub const FAINT: &str = "#d8dee4";
/// Told apart also by those who do not see every colour (after Okabe and Ito).
pub const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

pub struct Svg {
    text: String,
}

#[derive(Clone, Copy)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    /// The title and the description are what a screen reader says.
    pub fn new(width: f64, height: f64, title: &str, description: &str) -> Self {
        let mut text = format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif" font-size="13" role="img">"#
        );
        let _ = write!(text, "\n<title>{}</title>\n<desc>{}</desc>\n", escaped(title), escaped(description));
        let _ = write!(text, r##"<rect width="{width}" height="{height}" rx="6" fill="#ffffff"/>"##);
        Self { text }
    }

    pub fn text(&mut self, x: f64, y: f64, anchor: Anchor, size: f64, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escaped(text);
        let _ = write!(
            self.text,
            "\n<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{size}\" fill=\"{INK}\">{text}</text>"
        );
    }

    pub fn bar(&mut self, x: f64, y: f64, width: f64, height: f64, colour: &str) {
        let _ = write!(
            self.text,
            "\n<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{colour}\"/>"
        );
    }

    pub fn line(&mut self, points: &[(f64, f64)], colour: &str, width: f64) {
        let points: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let points = points.join(" ");
        let _ = write!(
            self.text,
            "\n<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"/>"
        );
    }

    pub fn dot(&mut self, x: f64, y: f64, colour: &str) {
        let _ = write!(self.text, "\n<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>");
    }

    pub fn finish(self) -> String {
        self.text + "\n</svg>\n"
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
