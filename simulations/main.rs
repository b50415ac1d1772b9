//! The simulator as a command: what would my grid do, and how does it behave at which size.

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use kontena_simulations::failure::Failure;
use kontena_simulations::{explain, report};

/// Whole grids of the code that decides in production, in virtual time.
#[derive(Debug, Parser)]
#[command(name = "kontena-simulations", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Explain(explain::Arguments),
    Report(report::Arguments),
}

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    let (out, talk) = (&mut std::io::stdout(), &mut std::io::stderr());
    let result = match &command {
        Command::Explain(arguments) => explain::run(arguments, out, talk),
        Command::Report(arguments) => report::run(arguments, out, talk),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => complain(talk, &failure),
    }
}

fn complain(talk: &mut impl Write, failure: &Failure) -> ExitCode {
    match writeln!(talk, "{failure}") {
        Ok(()) => failure.exit_code(),
        Err(_) => ExitCode::FAILURE,
    }
}
