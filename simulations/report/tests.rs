//! The files of a report, and that they follow from the arguments alone.

use std::time::Duration;

use expect_test::expect;

use super::*;
use crate::measure::Value;

fn example() -> Vec<Point> {
    let point = |nodes, series, value| Point {
        nodes,
        series,
        value,
        samples: 20,
        span: Duration::from_secs(60),
    };
    vec![
        point(3, "known to a node, p50", Value::Seen(4.25)),
        point(3, "known to all, worst", Value::Seen(5.0)),
        point(10, "known to a node, p50", Value::Seen(6.123_4)),
        point(10, "known to all, worst", Value::MoreThan(120.0)),
    ]
}

#[test]
fn a_figure_is_numbers_with_their_units() {
    expect![[r#"
        nodes,series,"seconds",reached,samples,span in seconds
        3,"known to a node, p50",4.250,yes,20,60
        3,"known to all, worst",5.000,yes,20,60
        10,"known to a node, p50",6.123,yes,20,60
        10,"known to all, worst",120.000,no,20,60
    "#]]
    .assert_eq(&csv::text(Figure::Detection, &example()));
}

#[test]
fn all_figures_are_one_table() {
    let points = Points::from([(Figure::Detection, example())]);
    expect![[r#"
        A crash is known as stale, in seconds                                            3        10
          known to a node, p50                                                        4.25      6.12
          known to all, worst                                                            5      >120
    "#]]
    .assert_eq(&table::table(&points));
}

#[test]
fn a_plot_names_its_axes_its_sizes_and_its_curves() {
    let svg = plot::svg(Figure::Detection, &example()).unwrap();
    for text in [
        "nodes",
        "seconds",
        "A crash is known as stale",
        "known to all, worst",
    ] {
        assert!(svg.contains(text), "{text}");
    }
    for size in ["3", "10"] {
        assert!(svg.lines().any(|line| line.trim() == size), "{size}");
    }
    assert_eq!(svg, plot::svg(Figure::Detection, &example()).unwrap());
}

#[test]
fn equal_arguments_measure_equal_points() {
    let measure = || {
        let all = [Measurement::Heal, Measurement::Rest].into_iter();
        all.flat_map(|one| one.measure(Setup::new(3, 5, 100)))
            .collect::<Vec<_>>()
    };
    assert_eq!(measure(), measure());
}
