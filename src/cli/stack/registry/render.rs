//! What a registry answered, as people read it.

use kontena_stackfile::{Value, yaml};
use serde_json::json;

use super::super::super::failure::Failure;
use super::super::super::output::Output;
use super::super::super::table::{Cell, Table};
use super::super::super::text::{Colour, printable};
use crate::registry::{Found, Shown, Version};

pub(super) fn print_found(output: &Output, found: &[Found], quiet: bool) -> Result<(), Failure> {
    if output.is_json() {
        return output.json(found);
    }
    if found.is_empty() {
        return Err(Failure::failed("nothing was found")
            .hint("fewer words find more; `kontena stack registry search` lists everything"));
    }
    if quiet {
        let lines = found.iter().map(|one| printable(&one.name) + "\n");
        return output.data(&lines.collect::<String>());
    }
    let mut table = Table::new(&["NAME", "VERSION", "PULLS", "DESCRIPTION"]);
    for one in found {
        let colour = one.private.then_some(Colour::Yellow);
        table.row([
            Cell::coloured(&one.name, colour),
            one.version.as_deref().unwrap_or("?").into(),
            one.pulls.to_string().into(),
            or_dash(&one.description).into(),
        ]);
    }
    output.data(&table.render(output.look()))
}

pub(super) fn print_versions(output: &Output, versions: &[Version]) -> Result<(), Failure> {
    if output.is_json() {
        return output.json(versions);
    }
    let lines = versions.iter().map(|one| printable(&one.version) + "\n");
    output.data(&lines.collect::<String>())
}

pub(super) fn print_shown(
    output: &Output,
    shown: &Shown,
    versions: &[Version],
) -> Result<(), Failure> {
    if output.is_json() {
        let mut all = serde_json::to_value(shown)
            .map_err(|problem| Failure::failed(format!("failed to write JSON: {problem}")))?;
        all["versions"] = json!(versions);
        return output.json(&all);
    }
    output.data(&text(shown, versions))
}

/// In the form that Kontena has for it.
fn text(shown: &Shown, versions: &[Version]) -> String {
    let name = printable(&shown.name);
    let latest = shown.latest_version.as_deref().unwrap_or_default();
    let mut text = format!("{name}:\n");
    for (key, value) in [
        ("description", or_dash(&shown.description)),
        ("latest_version", or_dash(latest)),
        ("created_at", or_dash(&shown.created_at)),
        ("pulls", &shown.pulls.to_string()),
        ("private", &shown.private.to_string()),
    ] {
        text.push_str(&format!("  {key}: {}\n", printable(value)));
    }
    text.push_str(
        &match shown.meta.as_object().is_some_and(|meta| !meta.is_empty()) {
            true => format!("  meta:\n{}", indented(&Value::from_json(&shown.meta))),
            false => "  meta: -\n".to_owned(),
        },
    );
    if versions.is_empty() {
        text.push_str("  versions: -\n");
        return text;
    }
    text.push_str("  versions:\n");
    for one in versions {
        let (version, created) = (printable(&one.version), printable(&one.created_at));
        text.push_str(&format!("    - {version} ({created})\n"));
    }
    text
}

fn indented(value: &Value) -> String {
    let text = yaml::print(value);
    let lines = text
        .lines()
        .map(|line| format!("    {}\n", printable(line)));
    lines.collect()
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_of_a_registry_is_shown_in_kontenas_form_and_gives_a_terminal_no_orders() {
        let shown = Shown {
            name: "demo/redis".to_owned(),
            description: "fast\x1b[2J".to_owned(),
            latest_version: None,
            created_at: "2017-01-01".to_owned(),
            pulls: 3,
            private: false,
            meta: json!({"tags": ["db"]}),
        };
        let version = Version {
            version: "1.0.0".to_owned(),
            created_at: "2017-02-01".to_owned(),
        };
        let expected = "\
demo/redis:
  description: fast\\u{1b}[2J
  latest_version: -
  created_at: 2017-01-01
  pulls: 3
  private: false
  meta:
    tags:
      - db
  versions:
    - 1.0.0 (2017-02-01)
";
        assert_eq!(text(&shown, &[version]), expected);
    }
}
