//! The program: everything is in the library, so that dead code there is still reported.

use std::process::ExitCode;

fn main() -> ExitCode {
    kontena::run(std::env::args_os())
}
