//! `grid env`: what another program needs to ask the same node, for a shell.

use kontena_core::id::GridName;

use crate::api::target::Target;
use crate::cli::failure::Failure;
use crate::cli::session::Session;

pub(super) fn print(session: &Session, grid: &GridName, export: bool) -> Result<(), Failure> {
    let variables = variables(session.client.target(), session.urls(), grid);
    if session.output.is_json() {
        let all: serde_json::Map<String, serde_json::Value> = variables
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        return session.output.json(&all);
    }
    let before = if export { "export " } else { "" };
    let lines = variables.iter();
    let lines = lines.map(|(name, value)| format!("{before}{name}={}\n", quoted(value)));
    session.output.data(&lines.collect::<String>())
}

fn variables(target: &Target, urls: &str, grid: &GridName) -> Vec<(&'static str, String)> {
    let mut variables = match target {
        Target::Socket(path) => vec![("KONTENA_SOCKET", path.display().to_string())],
        Target::Tcp { .. } => vec![("KONTENA_URL", urls.to_owned())],
    };
    variables.push(("KONTENA_GRID", grid.to_string()));
    if let Some(token) = target.token() {
        variables.push(("KONTENA_TOKEN", token.to_owned()));
    }
    variables
}

/// As a shell reads it back.
fn quoted(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._:/@%+,=[]".contains(c);
    match value.chars().all(is_plain) {
        true => value.to_owned(),
        false => format!("'{}'", value.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_gets_where_to_ask_the_grid_and_the_token() {
        let target = Target::Tcp {
            authority: "10.0.0.1:8480".to_owned(),
            token: Some("secret".to_owned()),
        };
        let told = variables(&target, "http://10.0.0.1:8480", &"home".parse().unwrap());
        let names: Vec<&str> = told.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["KONTENA_URL", "KONTENA_GRID", "KONTENA_TOKEN"]);
        assert_eq!(told[0].1, "http://10.0.0.1:8480");
        assert_eq!(quoted("/run/it's here"), r"'/run/it'\''s here'");
    }
}
