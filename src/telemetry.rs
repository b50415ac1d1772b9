//! Logs: one line each on standard error, with fields.

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;

/// Starts logging at `level`. libp2p and HTTP internals speak only from `trace` on.
pub(crate) fn start(level: LevelFilter) {
    use tracing_subscriber::Layer;
    use tracing_subscriber::filter::Targets;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::util::SubscriberInitExt;

    let others = if level == LevelFilter::TRACE {
        LevelFilter::TRACE
    } else {
        LevelFilter::WARN.min(level)
    };
    let targets = Targets::new()
        .with_target("kontena", level)
        .with_target("kontena_core", level)
        .with_default(others);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_filter(targets);
    tracing_subscriber::registry().with(lines).init();
}
