//! How fast the core decides, on one core of this machine: whole grids in virtual time, changes taken in,
//! instances placed, names made.
//!
//! In: the names of rows (`rest`, `merging`, `placing`, `naming`), all without any, and for `rest` sizes of grids. Out: one table, in Markdown.
//! What was seen is in `docs/benchmarks.md`.

mod figure;
mod filtered;
mod founded;
mod merging;
mod naming;
mod placing;
mod rest;

use std::io::Write;

use figure::Row;

fn main() -> std::io::Result<()> {
    // Cargo adds `--bench`.
    let asked: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"))
        .collect();
    let sizes: Vec<usize> = asked.iter().filter_map(|word| word.parse().ok()).collect();
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "| what | median (least–most, n) | aim |\n|---|---|---|"
    )?;
    let groups: [(&str, &dyn Fn(&mut dyn FnMut(Row))); 4] = [
        ("placing", &placing::measure),
        ("naming", &naming::measure),
        ("merging", &merging::measure),
        ("rest", &|report| rest::measure(&sizes, report)),
    ];
    for (name, measure) in groups {
        if asked.is_empty() || asked.iter().any(|word| word == name) {
            let mut written = Ok(());
            measure(&mut |row| {
                if written.is_ok() {
                    written = writeln!(out, "{row}").and_then(|()| out.flush());
                }
            });
            written?;
        }
    }
    Ok(())
}
