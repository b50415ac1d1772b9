//! A figure as an SVG plot: sizes along the bottom, a curve a series.

use plotters::prelude::*;

use super::figure::Figure;
use super::table::series;
use crate::failure::Failure;
use crate::measure::{Point, Value};

const SIZE: (u32, u32) = (900, 540);

/// Where a point is drawn: the place of its size among all sizes, and its height.
type Place = (f64, f64);

/// # Errors
/// A drawing that the plotting library cannot make.
pub(super) fn svg(figure: Figure, points: &[Point]) -> Result<String, Failure> {
    let mut text = String::new();
    draw(&mut text, &Axes::of(figure, points), points).map_err(|problem| {
        Failure::failed(format!("failed to draw {}: {problem}", figure.file()))
    })?;
    Ok(text)
}

struct Axes {
    figure: Figure,
    /// The numbers of nodes, each as wide as another: they rise by factors.
    sizes: Vec<usize>,
    bottom: f64,
    top: f64,
}

impl Axes {
    fn of(figure: Figure, points: &[Point]) -> Self {
        let mut sizes: Vec<usize> = points.iter().map(|point| point.nodes).collect();
        sizes.sort_unstable();
        sizes.dedup();
        let heights = points.iter().map(|point| height(figure, point));
        let (low, high) = heights.fold((f64::MAX, f64::MIN), |(low, high), height| {
            (low.min(height), high.max(height))
        });
        let (bottom, top) = match figure.is_logarithmic() {
            true => (low.floor(), high.ceil()),
            false => (0.0, high * 1.1),
        };
        Self {
            figure,
            sizes,
            bottom,
            top: top.max(bottom + 1.0),
        }
    }

    fn place(&self, point: &Point) -> Place {
        let column = self.sizes.iter().position(|size| *size == point.nodes);
        let column = column.expect("the axis has all sizes of the points");
        (column as f64, height(self.figure, point))
    }

    fn size_at(&self, x: f64) -> String {
        let is_column = (x - x.round()).abs() < 0.01 && x > -0.5;
        let size = is_column
            .then(|| self.sizes.get(x.round() as usize))
            .flatten();
        size.map_or_else(String::new, usize::to_string)
    }

    fn value_at(&self, y: f64) -> String {
        match self.figure.is_logarithmic() {
            true if (y - y.round()).abs() < 0.01 => format!("{:.0}", 10_f64.powf(y.round())),
            true => String::new(),
            false if self.top < 10.0 => format!("{y:.1}"),
            false => format!("{y:.0}"),
        }
    }
}

fn height(figure: Figure, point: &Point) -> f64 {
    let number = point.value.number();
    match figure.is_logarithmic() {
        true => number.max(1.0).log10(),
        false => number,
    }
}

type Problem = DrawingAreaErrorKind<std::io::Error>;

fn draw(text: &mut String, axes: &Axes, points: &[Point]) -> Result<(), Problem> {
    let area = SVGBackend::with_string(text, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(axes.figure.title(), ("sans-serif", 22))
        .margin(16)
        .x_label_area_size(46)
        .y_label_area_size(76)
        .build_cartesian_2d(-0.3..axes.sizes.len() as f64 - 0.7, axes.bottom..axes.top)?;
    chart
        .configure_mesh()
        .x_desc("nodes")
        .y_desc(axes.figure.unit())
        .x_labels(2 * axes.sizes.len() + 1)
        .x_label_formatter(&|x| axes.size_at(*x))
        .y_label_formatter(&|y| axes.value_at(*y))
        .disable_x_mesh()
        .axis_desc_style(("sans-serif", 16))
        .label_style(("sans-serif", 14))
        .draw()?;
    for (index, name) in series(points).into_iter().enumerate() {
        let colour = Palette99::pick(index).to_rgba();
        let of_series: Vec<&Point> = points.iter().filter(|point| point.series == name).collect();
        let places = of_series.iter().map(|point| axes.place(point));
        chart
            .draw_series(LineSeries::new(places, colour.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        let (seen, limits): (Vec<&Point>, Vec<&Point>) = of_series
            .into_iter()
            .partition(|point| matches!(point.value, Value::Seen(_)));
        let dot = |point: &Point| Circle::new(axes.place(point), 4, colour.filled());
        chart.draw_series(seen.into_iter().map(dot))?;
        let beyond = |point: &Point| TriangleMarker::new(axes.place(point), 7, colour.filled());
        chart.draw_series(limits.into_iter().map(beyond))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .label_font(("sans-serif", 14))
        .draw()?;
    area.present()
}
