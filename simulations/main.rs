//! The command line of the simulator.
//!
//! Standard output follows from the arguments alone; progress and figures of the wall clock go to
//! standard error. Exit status: 0 all held, 1 something did not or the command failed, 2 wrong usage.

mod command;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
}

fn main() -> ExitCode {
    // What a node panics with is told as a finding.
    std::panic::set_hook(Box::new(|_| {}));
    let result = match Arguments::parse().command {
        Command::Run(arguments) => single::run(&arguments),
        Command::Sweep(arguments) => sweep::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
    };
    match result {
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
