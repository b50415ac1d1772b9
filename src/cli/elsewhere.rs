//! Commands of Kontena 1.x that have no meaning without a master: a sentence for each, and where to go instead.
//!
//! They are no commands here and in no help: who types one out of habit is told why there is none.

use std::ffi::OsString;

use clap::error::ErrorKind;

use super::failure::Failure;

/// What was typed, why there is nothing of that, and what there is.
struct Elsewhere {
    words: &'static [&'static str],
    why: &'static str,
    hint: &'static str,
}

const NO_CLOUD: &str = "Kontena Cloud is gone, and nothing here needs it";
const NO_PLUGINS: &str = "plugins of Kontena were Ruby gems: there are none here";
const NO_CONFIG: &str = "there is no master to configure";
const CONFIG: &str =
    "a node has a file of its own, see `kontena daemon --help`; the grid has `kontena grid update`";

const ALL: &[Elsewhere] = &[
    Elsewhere {
        words: &["master", "create"],
        why: "no master is needed",
        hint: "`kontena init` on the first host, `kontena join` on the others",
    },
    Elsewhere {
        words: &["master", "ssh"],
        why: "there is no master to log in to",
        hint: "`kontena node ssh NODE` opens a shell on a node",
    },
    Elsewhere {
        words: &["master", "config"],
        why: NO_CONFIG,
        hint: CONFIG,
    },
    Elsewhere {
        words: &["master", "cfg"],
        why: NO_CONFIG,
        hint: CONFIG,
    },
    Elsewhere {
        words: &["master", "init-cloud"],
        why: NO_CLOUD,
        hint: "`kontena master use NAME --url URL --token TOKEN` asks a node from afar",
    },
    Elsewhere {
        words: &["cloud"],
        why: NO_CLOUD,
        hint: "`kontena master use NAME --url URL --token TOKEN` asks a node from afar",
    },
    Elsewhere {
        words: &["plugin"],
        why: NO_PLUGINS,
        hint: "`kontena --help` lists what there is",
    },
    Elsewhere {
        words: &["grid", "create"],
        why: "a grid begins with its first node",
        hint: "run `kontena init --grid NAME` there; it takes `--subnet` and `--supernet` too",
    },
    Elsewhere {
        words: &["grid", "rm"],
        why: "a grid ends with its last node",
        hint: "run `kontena leave` on each",
    },
    Elsewhere {
        words: &["grid", "remove"],
        why: "a grid ends with its last node",
        hint: "run `kontena leave` on each",
    },
    Elsewhere {
        words: &["grid", "cloud-config"],
        why: "there is no agent to start",
        hint: "`packaging/kontena.service` starts the daemon, and `kontena join` makes it a member",
    },
    Elsewhere {
        words: &["node", "create"],
        why: "a node need not be known before it comes",
        hint: "`kontena token create`, then `kontena join ADDRESS --token TOKEN --name NAME` on it",
    },
    Elsewhere {
        words: &["node", "env"],
        why: "nodes have no token of their own",
        hint: "`kontena token create` prints what `kontena join` needs",
    },
];

/// What to say of a command line that is refused, if it is one of these.
pub(crate) fn explained(arguments: &[OsString], refused: &clap::Error) -> Option<Failure> {
    if refused.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    let words = arguments.iter().filter_map(|word| word.to_str());
    let words: Vec<&str> = words.filter(|word| !word.starts_with('-')).collect();
    let is_typed = |one: &&Elsewhere| {
        let mut typed = words.windows(one.words.len());
        typed.any(|typed| typed == one.words)
    };
    let found = ALL.iter().find(is_typed)?;
    Some(Failure::failed(found.why).hint(found.hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> Option<Failure> {
        let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let refused = crate::cli::parse(arguments.clone(), 100).err()?;
        explained(&arguments, &refused)
    }

    #[test]
    fn each_is_told_and_none_is_a_command_after_all() {
        for one in ALL {
            let line = format!("kontena {} --name x y", one.words.join(" "));
            let Some(Failure::Failed(complaint)) = said(&line) else {
                panic!("`{line}` is not explained");
            };
            assert_eq!(complaint.message, one.why);
        }
        assert!(said("kontena --grid home grid create x").is_some());
    }

    #[test]
    fn a_typing_error_is_none_of_them() {
        for line in [
            "kontena grid creat x",
            "kontena grid ls --wrong",
            "kontena node ls",
        ] {
            assert!(said(line).is_none(), "{line}");
        }
    }
}
