//! Bars, and curves on axes that are powers of ten.

use crate::svg::{Anchor, COLOURS, FAINT, Svg};

/// A label, and a time for each kind that there is.
pub type Row = (&'static str, Vec<(usize, f64)>);

/// Rows of two bars, each with its time in words.
pub struct Bars {
    /// Where the bars begin, and their legend.
    pub corner: (f64, f64),
    pub kinds: [&'static str; 2],
    /// How far the two are from each other in the legend.
    pub apart: f64,
    pub rows: Vec<Row>,
}

impl Bars {
    const HEIGHT: f64 = 40.0;

    pub fn end(&self) -> f64 {
        self.corner.1 + 30.0 + Self::HEIGHT * self.rows.len() as f64
    }

    pub fn draw(&self, svg: &mut Svg, length: impl Fn(f64) -> f64) {
        let (left, top) = self.corner;
        for (kind, label) in self.kinds.iter().enumerate() {
            let x = left + self.apart * kind as f64;
            svg.bar(x, top, 12.0, 12.0, COLOURS[kind]);
            svg.text(x + 18.0, top + 11.0, Anchor::Start, 13.0, label);
        }
        for (at, (label, row)) in self.rows.iter().enumerate() {
            let y = top + 30.0 + Self::HEIGHT * at as f64;
            svg.text(left - 10.0, y + 19.0, Anchor::End, 13.0, label);
            for (kind, time) in row {
                let y = y + 15.0 * *kind as f64;
                let length = length(*time);
                svg.bar(left, y, length, 13.0, COLOURS[*kind]);
                let time = if *time < 100.0 { format!("{time:.1}") } else { format!("{time:.0}") };
                svg.text(left + length + 6.0, y + 11.0, Anchor::Start, 11.0, &time);
            }
        }
    }
}

/// A label, and points.
pub type Curve<'a> = (&'a str, Vec<(f64, f64)>);

/// A diagram whose axes are powers of ten.
pub struct Diagram<'a> {
    /// Where its upper left corner is.
    pub corner: (f64, f64),
    pub title: &'a str,
    pub axis: &'a str,
    pub x: (f64, f64),
    pub y: (f64, f64),
    pub curves: Vec<Curve<'a>>,
}

impl Diagram<'_> {
    pub fn draw(self, svg: &mut Svg) {
        const WIDTH: f64 = 320.0;
        const HEIGHT: f64 = 240.0;
        let (left, top) = self.corner;
        let at_x = |power: f64| left + WIDTH * (power - self.x.0) / (self.x.1 - self.x.0);
        let at_y = |power: f64| top + HEIGHT * (self.y.1 - power) / (self.y.1 - self.y.0);
        svg.text(left - 40.0, top - 22.0, Anchor::Start, 14.0, self.title);
        for power in self.x.0 as i32..=self.x.1 as i32 {
            let x = at_x(f64::from(power));
            svg.line(&[(x, top), (x, top + HEIGHT)], FAINT, 1.0);
            svg.text(x, top + HEIGHT + 18.0, Anchor::Middle, 11.0, &power_of_ten(power));
        }
        for power in self.y.0 as i32..=self.y.1 as i32 {
            let y = at_y(f64::from(power));
            svg.line(&[(left, y), (left + WIDTH, y)], FAINT, 1.0);
            svg.text(left - 6.0, y + 4.0, Anchor::End, 11.0, &power_of_ten(power));
        }
        svg.text(left + WIDTH / 2.0, top + HEIGHT + 36.0, Anchor::Middle, 12.0, self.axis);
        for (at, (label, points)) in self.curves.iter().enumerate() {
            let colour = COLOURS[at];
            let points: Vec<_> = points.iter().map(|(x, y)| (at_x(x.log10()), at_y(y.log10()))).collect();
            svg.line(&points, colour, 2.0);
            points.iter().for_each(|(x, y)| svg.dot(*x, *y, colour));
            let (x, y) =
                (left - 40.0 + 195.0 * (at % 2) as f64, top + HEIGHT + 64.0 + 20.0 * (at / 2) as f64);
            svg.bar(x, y - 10.0, 12.0, 12.0, colour);
            svg.text(x + 18.0, y, Anchor::Start, 12.0, label);
        }
    }
}

fn power_of_ten(power: i32) -> String {
    match power {
        -2 => "0.01".to_owned(),
        -1 => "0.1".to_owned(),
        0..=3 => 10_i32.pow(power as u32).to_string(),
        4..=5 => format!("{}k", 10_i32.pow(power as u32 - 3)),
        _ => format!("{}M", 10_i32.pow(power as u32 - 6)),
    }
}
