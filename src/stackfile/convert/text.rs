//! Texts: the variables in them, and what would be a template in a stack file.

use super::Conversion;

impl Conversion<'_> {
    /// `text` with variables as stack files have them. `${A:-b}` becomes `${A}`, and `b` A's default;
    /// `{{` is written so that it stays what it is.
    pub(super) fn text(&mut self, text: &str) -> String {
        let mut converted = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            converted.push_str(before);
            if let Some(after) = after.strip_prefix('$') {
                converted.push_str("$$");
                rest = after;
                continue;
            }
            rest = self.reference(after, &mut converted);
        }
        converted.push_str(rest);
        if converted.contains("{{") || converted.contains("{%") {
            return format!("{{% raw %}}{converted}{{% endraw %}}");
        }
        converted
    }

    /// Appends a reference; gives what follows it.
    fn reference<'t>(&mut self, after: &'t str, converted: &mut String) -> &'t str {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let braced = after
            .strip_prefix('{')
            .and_then(|rest| rest.split_once('}'));
        let (content, rest) = match braced {
            Some(parts) => parts,
            None => after.split_at(after.find(|c| !is_name(c)).unwrap_or(after.len())),
        };
        let length = content.find(|c| !is_name(c)).unwrap_or(content.len());
        let (name, operation) = content.split_at(length);
        if name.is_empty() {
            converted.push('$');
            return after;
        }
        let default = operation
            .strip_prefix(":-")
            .or_else(|| operation.strip_prefix('-'));
        let name = match name {
            "project" => "STACK",
            "grid" => "GRID",
            name => {
                self.declare(name, default);
                name
            }
        };
        converted.push_str(&format!("${{{name}}}"));
        rest
    }

    fn declare(&mut self, name: &str, default: Option<&str>) {
        if matches!(name, "STACK" | "GRID" | "PLATFORM") {
            return;
        }
        let known = self.variables.entry(name.to_owned()).or_default();
        if let Some(default) = default {
            known.get_or_insert_with(|| default.to_owned());
        }
    }
}

/// Arguments as one line that a shell would cut into the same ones.
pub(super) fn command_line(arguments: &[String]) -> String {
    let quoted = arguments.iter().map(|argument| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,$".contains(c);
        if !argument.is_empty() && argument.chars().all(plain) {
            argument.clone()
        } else {
            format!("'{}'", argument.replace('\'', "'\\''"))
        }
    });
    quoted.collect::<Vec<String>>().join(" ")
}
