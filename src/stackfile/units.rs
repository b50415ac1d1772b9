//! Sizes, durations and command lines as stack files write them.

/// Bytes of `N`, `Nk`, `Nm` or `Ng`.
pub(crate) fn memory(text: &str) -> Option<u64> {
    let (number, factor) = match text.char_indices().last()? {
        (at, 'k' | 'K') => (&text[..at], 1 << 10),
        (at, 'm' | 'M') => (&text[..at], 1 << 20),
        (at, 'g' | 'G') => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    digits(number)?.checked_mul(factor)
}

/// Seconds of `N`, `Nmin`, `Nh` or `Nd`.
pub(crate) fn interval(text: &str) -> Option<u64> {
    let units = [("min", 60), ("h", 3_600), ("d", 86_400)];
    let unit = units
        .iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, *seconds)));
    let (number, seconds) = unit.unwrap_or((text, 1));
    digits(number)?.checked_mul(seconds)
}

/// Whether it is a duration as `1m30s`, `0s` or `1.5h`.
pub(crate) fn is_duration(text: &str) -> bool {
    let mut rest = text;
    while let Some(at) = rest.find(['h', 'm', 's']) {
        let number = &rest[..at];
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        if digits(whole).is_none() || digits(fraction).is_none() {
            return false;
        }
        rest = &rest[at + 1..];
    }
    rest.is_empty() && !text.is_empty()
}

/// A number without a sign, as long as it is one.
pub(crate) fn digits(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// A command line as its arguments, cut as a Bourne shell cuts it, without expanding anything.
/// `None` where a quote is not closed.
pub(crate) fn arguments(line: &str) -> Option<Vec<String>> {
    let mut arguments = Vec::new();
    let mut argument: Option<String> = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            ' ' | '\t' | '\n' | '\r' => arguments.extend(argument.take()),
            '\'' => {
                let text = argument.get_or_insert_default();
                single_quoted(&mut characters, text)?;
            }
            '"' => {
                let text = argument.get_or_insert_default();
                double_quoted(&mut characters, text)?;
            }
            '\\' => match characters.next() {
                Some('\n') => {}
                Some(next) => argument.get_or_insert_default().push(next),
                None => argument.get_or_insert_default().push('\\'),
            },
            character => argument.get_or_insert_default().push(character),
        }
    }
    arguments.extend(argument);
    Some(arguments)
}

fn single_quoted(characters: &mut std::str::Chars<'_>, text: &mut String) -> Option<()> {
    loop {
        match characters.next()? {
            '\'' => return Some(()),
            character => text.push(character),
        }
    }
}

/// A backslash keeps its meaning before `$`, a backquote, `"`, itself and the end of a line.
fn double_quoted(characters: &mut std::str::Chars<'_>, text: &mut String) -> Option<()> {
    loop {
        match characters.next()? {
            '"' => return Some(()),
            '\\' => match characters.next()? {
                '\n' => {}
                next @ ('$' | '`' | '"' | '\\') => text.push(next),
                next => text.extend(['\\', next]),
            },
            character => text.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_are_read() {
        assert_eq!(memory("64m"), Some(64 << 20));
        assert_eq!(memory("2G"), Some(2 << 30));
        assert_eq!(memory("1024"), Some(1024));
        assert_eq!(memory("1.5g"), None);
        assert_eq!(memory(""), None);
        assert_eq!(memory("99999999999999999999k"), None);
        assert_eq!(interval("7d"), Some(604_800));
        assert_eq!(interval("30min"), Some(1_800));
        assert_eq!(interval("90"), Some(90));
        assert_eq!(interval("1w"), None);
        for (text, expected) in [
            ("0s", true),
            ("1m30s", true),
            ("1.5h", true),
            ("10", false),
            ("s", false),
            ("", false),
        ] {
            assert_eq!(is_duration(text), expected, "{text}");
        }
    }

    #[test]
    fn a_command_line_is_cut_as_by_a_shell() {
        let cut = |line| arguments(line).unwrap();
        assert_eq!(
            cut("sh -c \"a && b 'c'\" \\ d"),
            ["sh", "-c", "a && b 'c'", " d"]
        );
        assert_eq!(cut("a'b'\"c\" '' \"x\\\"y\\z\""), ["abc", "", "x\"y\\z"]);
        assert_eq!(cut("  "), Vec::<String>::new());
        assert_eq!(arguments("a 'b"), None);
    }
}
