//! `vpn down`: what a `vpn up` that was killed left on this machine.

use clap::Args;

use super::super::failure::Failure;
use super::super::output::Output;
use super::up::INTERFACE;
use crate::laptop;

/// Put this machine's resolvers back after a `vpn up` that was killed
#[derive(Args, Debug)]
#[command(after_help = "Example:
  kontena vpn down

It takes root. One that runs is ended with Ctrl-C, and puts them back itself. The next `kontena vpn up` does the same.")]
pub(super) struct Down {
    /// What its interface was called
    #[arg(long, value_name = "NAME", default_value = INTERFACE)]
    interface: String,
}

pub(super) fn run(output: &Output, asked: &Down) -> Result<(), Failure> {
    let interface = &asked.interface;
    if laptop::is_there(interface) {
        return Err(Failure::failed(format!("`{interface}` is up"))
            .hint("end the `kontena vpn up` that made it with Ctrl-C"));
    }
    laptop::tidy(interface)?;
    output.talk("this machine does not ask the VPN for names");
    Ok(())
}
