//! `completion`: a script for the shell, which asks `kontena complete` what may follow.
//!
//! The scripts are the same for all commands that there will ever be: what there is, this program says.

use clap::{Args, ValueEnum};

use super::failure::Failure;
use super::output::Output;

/// Print a script that completes commands in your shell, with the names of nodes, stacks and services
#[derive(Args, Debug)]
#[command(after_help = "Example:
  kontena completion bash > /etc/bash_completion.d/kontena
  kontena completion zsh > /usr/local/share/zsh/site-functions/_kontena
  kontena completion fish > ~/.config/fish/completions/kontena.fish")]
pub(crate) struct Completion {
    /// Whose script
    shell: Shell,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

const BASH: &str = r#"_kontena() {
    local IFS=$'\n'
    COMPREPLY=($(kontena complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _kontena kontena
"#;

const ZSH: &str = r#"#compdef kontena
_kontena() {
    local -a found
    found=("${(@f)$(kontena complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n $found ]]; then
        compadd -a found
    else
        _files
    fi
}
if [[ $funcstack[1] == _kontena ]]; then
    _kontena
else
    compdef _kontena kontena
fi
"#;

const FISH: &str = "\
complete -c kontena -f -a '(kontena complete -- (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
";

pub(crate) fn run(output: &Output, asked: &Completion) -> Result<(), Failure> {
    output.data(match asked.shell {
        Shell::Bash => BASH,
        Shell::Zsh => ZSH,
        Shell::Fish => FISH,
    })
}
