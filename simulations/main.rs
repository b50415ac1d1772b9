//! The command line of the simulator.
//!
//! Standard output follows from the arguments alone; progress and figures of the wall clock go to
//! standard error. Exit status: 0 all held, 1 something did not or the command failed, 2 wrong usage.

mod command;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use kontena_simulations::failure::Failure;
use kontena_simulations::{explain, report};

use command::{replay, single, sweep};

/// Runs whole grids in virtual time, with everything that can befall them.
#[derive(Debug, Parser)]
#[command(name = "kontena-simulations", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// One run of a grid of a given size, and what it amounted to
    Run(single::Arguments),
    /// Many runs, each with another seed; those that fail, with the command that replays them
    Sweep(sweep::Arguments),
    /// A run of `sweep` again; if it fails, the smallest one that fails alike, and its trace
    Replay(replay::Arguments),
    Explain(explain::Arguments),
    Report(report::Arguments),
}

fn main() -> ExitCode {
    let (out, talk) = (&mut std::io::stdout(), &mut std::io::stderr());
    match Arguments::parse().command {
        Command::Run(arguments) => checked(|| single::run(&arguments)),
        Command::Sweep(arguments) => checked(|| sweep::run(&arguments)),
        Command::Replay(arguments) => checked(|| replay::run(&arguments)),
        Command::Explain(arguments) => told(explain::run(&arguments, out, talk)),
        Command::Report(arguments) => told(report::run(&arguments, out, talk)),
    }
}

/// What a node panics with is told as a finding, and not besides.
fn checked(run: impl FnOnce() -> anyhow::Result<bool>) -> ExitCode {
    std::panic::set_hook(Box::new(|_| {}));
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            command::say(&format!(
                "error: {error:#}\nhint: is standard output closed?"
            ));
            ExitCode::FAILURE
        }
    }
}

fn told(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            command::say(&failure.to_string());
            failure.exit_code()
        }
    }
}
