//! `environment` and `env_file` as one list of `NAME=VALUE`.

use crate::value::Value;

/// The variables of a service; those of `files`, the texts of its `env_file`s, follow, unless the
/// name is there. `None` where neither is given.
pub(crate) fn environment(own: Option<&Value>, files: &[String]) -> Option<Vec<String>> {
    let own = match own {
        None | Some(Value::Null) => None,
        Some(Value::Map(entries)) => {
            let entries = entries.iter();
            Some(
                entries
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect(),
            )
        }
        Some(Value::List(items)) => Some(items.iter().map(ToString::to_string).collect()),
        Some(single) => Some(vec![single.to_string()]),
    };
    if files.is_empty() {
        return own;
    }
    let mut variables: Vec<String> = own.unwrap_or_default();
    for line in files.iter().flat_map(|file| file.lines()) {
        let line = line.trim();
        let is_new = !variables.iter().any(|known| name(known) == name(line));
        if !line.is_empty() && !line.starts_with('#') && is_new {
            variables.push(line.to_owned());
        }
    }
    Some(variables)
}

/// What stands before the `=`.
pub(super) fn name(variable: &str) -> &str {
    variable.split_once('=').map_or(variable, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equal_names_wins_and_files_come_after() {
        let own = Value::List(vec!["A=1".into(), "B=2".into()]);
        let files = ["# c\nB=3\n\nC=4=5\n".to_owned(), "C=6\nD=\n".to_owned()];
        let expected = ["A=1", "B=2", "C=4=5", "D="].map(str::to_owned);
        assert_eq!(environment(Some(&own), &files), Some(expected.into()));
        assert_eq!(environment(None, &[]), None);
    }

    #[test]
    fn a_mapping_gives_each_value_as_it_shows() {
        let entries = [
            ("A", Value::Null),
            ("B", Value::Float(1.0)),
            ("C", Value::Boolean(true)),
        ];
        let own = Value::Map(entries.map(|(name, value)| (name.to_owned(), value)).into());
        let expected = ["A=", "B=1.0", "C=true"].map(str::to_owned);
        assert_eq!(environment(Some(&own), &[]), Some(expected.into()));
    }
}
