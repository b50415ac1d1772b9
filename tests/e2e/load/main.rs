//! Load for a service, and a server that ends well: one program without libraries, which goes into an image by itself.
//!
//! ```text
//! load client NAME PORT RECORD   asks NAME for pages without pause, and writes into RECORD what came of it
//! load registry PORT FOLDER      has the images that lie in FOLDER; for those who send AUTHORIZATION, if that is given
//! load serve PORT FLAG           answers, until the file FLAG is there; ends when all that was asked is answered
//! ```
//!
//! It is compiled twice: as a module of the tests, which read what it writes, and by `support/load.rs` as a program.

pub(crate) mod client;
pub(crate) mod http;
pub(crate) mod record;
pub(crate) mod registry;
pub(crate) mod server;

use std::path::Path;
use std::process::ExitCode;

/// The program; in the tests it is only there to be compiled.
#[allow(dead_code, reason = "called where this file is the root")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ended = match words[..] {
        ["client", name, port, record] => {
            number(port).and_then(|port| client::run(name, port, Path::new(record)))
        }
        ["serve", port, flag] => number(port).and_then(|port| server::run(port, Path::new(flag))),
        ["registry", port, folder] => {
            number(port).and_then(|port| registry::run(port, Path::new(folder), None))
        }
        ["registry", port, folder, authorization] => {
            let run = |port| registry::run(port, Path::new(folder), Some(authorization));
            number(port).and_then(run)
        }
        _ => Err("usage: load client NAME PORT RECORD | load registry PORT FOLDER [AUTHORIZATION] | load serve PORT FLAG".to_owned()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            say(&problem);
            ExitCode::FAILURE
        }
    }
}

fn number(port: &str) -> Result<u16, String> {
    port.parse()
        .map_err(|problem| format!("`{port}` is no port: {problem}"))
}

#[allow(
    clippy::print_stderr,
    reason = "the log of a container, which nobody reads but after a failure"
)]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}
