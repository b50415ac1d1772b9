//! Splitting a command line into arguments, as a POSIX shell would, expanding nothing.

use std::iter::Peekable;
use std::str::Chars;

/// Why a command line cannot be split.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidCommand {
    #[error("the quote `{0}` is never closed")]
    OpenQuote(char),
    #[error("the command ends with a lone `\\`")]
    LoneBackslash,
}

/// The arguments of `line`: split at blanks, with `'…'`, `"…"` and `\` as in a shell. Variables,
/// globs and operators are not interpreted: who needs them runs `sh -c '…'`.
pub fn split_command(line: &str) -> Result<Vec<String>, InvalidCommand> {
    let mut arguments = Vec::new();
    let mut current: Option<String> = None;
    let mut characters = line.chars().peekable();

    while let Some(character) = characters.next() {
        if is_blank(character) {
            arguments.extend(current.take());
            continue;
        }
        let argument = current.get_or_insert_default();
        match character {
            '\'' => single_quoted(&mut characters, argument)?,
            '"' => double_quoted(&mut characters, argument)?,
            '\\' => match characters.next() {
                Some('\n') => {}
                Some(escaped) => argument.push(escaped),
                None => return Err(InvalidCommand::LoneBackslash),
            },
            plain => argument.push(plain),
        }
    }
    arguments.extend(current);
    Ok(arguments)
}

fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r')
}

fn single_quoted(
    characters: &mut Peekable<Chars<'_>>,
    argument: &mut String,
) -> Result<(), InvalidCommand> {
    for character in characters {
        if character == '\'' {
            return Ok(());
        }
        argument.push(character);
    }
    Err(InvalidCommand::OpenQuote('\''))
}

fn double_quoted(
    characters: &mut Peekable<Chars<'_>>,
    argument: &mut String,
) -> Result<(), InvalidCommand> {
    while let Some(character) = characters.next() {
        match character {
            '"' => return Ok(()),
            '\\' => {
                match characters.next_if(|next| matches!(next, '$' | '`' | '"' | '\\' | '\n')) {
                    Some('\n') => {}
                    Some(escaped) => argument.push(escaped),
                    None => argument.push('\\'),
                }
            }
            plain => argument.push(plain),
        }
    }
    Err(InvalidCommand::OpenQuote('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_split_as_a_shell_would() {
        for (line, expected) in [
            ("", &[][..]),
            (
                "  redis-server   --save ''",
                &["redis-server", "--save", ""],
            ),
            (
                r#"sh -c "echo \"$A\" \n""#,
                &["sh", "-c", r#"echo "$A" \n"#],
            ),
            (r"a\ b 'c d'e", &["a b", "c de"]),
            ("a\nb", &["a", "b"]),
            ("echo 'it'\\''s'", &["echo", "it's"]),
        ] {
            assert_eq!(split_command(line).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn an_open_end_is_refused() {
        assert_eq!(split_command("a 'b"), Err(InvalidCommand::OpenQuote('\'')));
        assert_eq!(split_command("a \"b"), Err(InvalidCommand::OpenQuote('"')));
        assert_eq!(split_command("a \\"), Err(InvalidCommand::LoneBackslash));
    }
}
