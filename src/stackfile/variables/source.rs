//! Where values come from: the resolvers of `from`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::condition::holds;
use super::evaluate::evaluate;
use super::kind::{Kind, choices};
use super::{Declaration, Variables};
use crate::interpolate::references_of_value;
use crate::value::Value;
use crate::world::{AnswerKind, Choice, Location, Question, World};
use crate::yaml;

/// Which file the variables are of.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// What the stack is installed as.
    pub(crate) stack: String,
    /// What stands before its variables in the names of the user: empty, or `DEPENDENCY.`.
    pub(crate) prefix: String,
    /// Where relative paths begin.
    pub(crate) folder: Option<PathBuf>,
}

/// What a source makes of its hint; null where it has no value.
///
/// # Errors
/// Why it cannot be asked.
pub(super) fn value(
    source: &str,
    hint: &Value,
    declaration: &Declaration,
    variables: &Variables,
    context: &Context,
    world: &mut dyn World,
) -> Result<Value, String> {
    match source {
        "env" => Ok(environment(hint, &declaration.name, variables, world)),
        "file" => file(hint, context, world),
        "prompt" => Ok(prompt(hint, declaration, context, world)),
        "random_string" => random_string(hint, world),
        "random_number" => random_number(hint, world),
        "random_uuid" => Ok(Value::Text(random_uuid(world))),
        "interpolate" => interpolated(&hint.to_string(), variables).map(Value::Text),
        "evaluate" => evaluated(&hint.to_string(), variables),
        "vault" => Ok(world
            .secret(&hint.to_string())
            .map_or(Value::Null, Value::Text)),
        "vault_cert_prompt" => Ok(certificate_secrets(hint, declaration, context, world)),
        "certificates" => Ok(certificates(hint, declaration, context, world)),
        "service_link" => Ok(service_link(hint, declaration, context, world)),
        "service_instances" => {
            let count = world.instances(&context.stack, &hint.to_string());
            Ok(count.map_or(Value::Null, |count| Value::Integer(i64::from(count))))
        }
        "variable" => {
            let name = hint.to_string();
            let value = variables.get(&name).cloned();
            value.ok_or_else(|| format!("`{name}` is no variable before it"))
        }
        "condition" => chosen(hint, &variables.values),
        "yaml" => of_yaml(hint, variables, context, world),
        source => unreachable!("`{source}` was not taken as a source"),
    }
}

/// The first of the environment's variables that is there.
fn environment(hint: &Value, own: &str, variables: &Variables, world: &mut dyn World) -> Value {
    let names: Vec<String> = match hint {
        Value::Null => vec![own.to_owned()],
        Value::List(names) => names.iter().map(ToString::to_string).collect(),
        name => vec![name.to_string()],
    };
    for name in names {
        let set = variables.environment.get(&name).cloned();
        let value = set.or_else(|| world.environment(&name).map(Value::Text));
        match value {
            None | Some(Value::Null) => {}
            Some(Value::Text(text)) if matches!(text.as_str(), "null" | "nil" | "") => {}
            Some(value) => return value,
        }
    }
    Value::Null
}

fn file(hint: &Value, context: &Context, world: &mut dyn World) -> Result<Value, String> {
    let path = hint.get("path").unwrap_or(hint).to_string();
    let ignores = hint.get("ignore_errors").is_some_and(Value::is_true);
    match read_file(&path, context, world) {
        Ok(text) => Ok(Value::Text(text)),
        Err(_) if ignores => Ok(Value::Null),
        Err(problem) => Err(problem),
    }
}

fn read_file(path: &str, context: &Context, world: &mut dyn World) -> Result<String, String> {
    let Some(folder) = &context.folder else {
        return Err(format!(
            "a stack from elsewhere cannot read the file `{path}`"
        ));
    };
    let read = world.read(&Location::file(folder, path));
    read.map_err(|problem| format!("failed to read `{path}`: {problem}"))
}

fn prompt(
    hint: &Value,
    declaration: &Declaration,
    context: &Context,
    world: &mut dyn World,
) -> Value {
    let options = &declaration.options;
    let answer = match declaration.kind {
        Kind::Enumeration => AnswerKind::One(choices(options)),
        Kind::Boolean => AnswerKind::YesNo,
        Kind::Text | Kind::Integer | Kind::Uri | Kind::Array | Kind::Group => AnswerKind::Text {
            shown: options.get("echo") != Some(&Value::Boolean(false)),
        },
    };
    ask(hint, answer, declaration, context, world)
}

/// Asks a person; without a question of its own a variable is asked for by its label or name.
fn ask(
    hint: &Value,
    answer: AnswerKind,
    declaration: &Declaration,
    context: &Context,
    world: &mut dyn World,
) -> Value {
    let text = ["label", "description"].iter().find_map(|key| {
        let text = declaration.options.get(key)?;
        Some(text.to_string())
    });
    let text = match hint {
        Value::Null => text.unwrap_or_else(|| declaration.name.clone()),
        hint => hint.to_string(),
    };
    let question = Question {
        variable: format!("{}{}", context.prefix, declaration.name),
        text,
        answer,
        default: Some(declaration.default.clone()).filter(|default| !default.is_null()),
    };
    match world.ask(&question) {
        Some(Value::Text(text)) if text.is_empty() => Value::Null,
        Some(answer) => answer,
        None => Value::Null,
    }
}

fn plain_choices(values: Vec<String>) -> Vec<Choice> {
    let choice = |value: String| Choice {
        label: value.clone(),
        value: Value::Text(value),
    };
    values.into_iter().map(choice).collect()
}

fn certificate_secrets(
    hint: &Value,
    declaration: &Declaration,
    context: &Context,
    world: &mut dyn World,
) -> Value {
    let Some(mut names) = world.secret_names() else {
        return Value::Null;
    };
    names.retain(|name| {
        let name = name.to_lowercase();
        name.contains("ssl") || name.contains("cert")
    });
    ask(
        hint,
        AnswerKind::Many(plain_choices(names)),
        declaration,
        context,
        world,
    )
}

fn certificates(
    hint: &Value,
    declaration: &Declaration,
    context: &Context,
    world: &mut dyn World,
) -> Value {
    match world.certificates() {
        Some(subjects) => ask(
            hint,
            AnswerKind::Many(plain_choices(subjects)),
            declaration,
            context,
            world,
        ),
        None => Value::Null,
    }
}

fn service_link(
    hint: &Value,
    declaration: &Declaration,
    context: &Context,
    world: &mut dyn World,
) -> Value {
    let part = |key: &str| hint.get(key).map(ToString::to_string);
    let services = world.services(part("image").as_deref(), part("name").as_deref());
    let Some(services) = services else {
        return Value::Null;
    };
    let mut choices = plain_choices(services);
    if !declaration.required {
        let none = Choice {
            value: Value::Null,
            label: "<none>".to_owned(),
        };
        choices.insert(0, none);
    }
    if choices.is_empty() {
        return Value::Null;
    }
    let question = hint.get("prompt").or_else(|| hint.get("hint"));
    let question = question.cloned().unwrap_or(match hint {
        Value::Text(_) => hint.clone(),
        _ => Value::Null,
    });
    ask(
        &question,
        AnswerKind::One(choices),
        declaration,
        context,
        world,
    )
}

/// Long enough for any key.
const MAX_RANDOM: i64 = 65_536;

fn random_string(hint: &Value, world: &mut dyn World) -> Result<Value, String> {
    let length = match hint {
        Value::Map(_) => hint.get("length").cloned().unwrap_or(Value::Null),
        hint => hint.clone(),
    };
    let length = match &length {
        Value::Null => 16,
        Value::Text(text) => text
            .trim()
            .parse()
            .map_err(|_| "`length` is a whole number")?,
        length => length.as_integer().ok_or("`length` is a whole number")?,
    };
    if !(1..=MAX_RANDOM).contains(&length) {
        return Err(format!("`length` is {length}, not from 1 to {MAX_RANDOM}"));
    }
    let name = hint
        .get("charset")
        .map_or("alphanumeric".to_owned(), ToString::to_string);
    if name == "base64" && length % 4 != 0 {
        return Err("the `length` of base64 is a multiple of 4".to_owned());
    }
    let characters = character_set(&name);
    if characters.is_empty() {
        return Err("`charset` has no characters".to_owned());
    }
    let count = u64::try_from(characters.len()).unwrap_or(1);
    let text = (0..length).map(|_| {
        let index = usize::try_from(world.random(count)).unwrap_or(0);
        characters[index.min(characters.len() - 1)]
    });
    Ok(Value::Text(text.collect()))
}

/// By name, as ranges (`a-f`, `a-f0-9`), or the characters themselves.
fn character_set(name: &str) -> Vec<char> {
    let ranges: &[(char, char)] = match name {
        "numbers" => &[('0', '9')],
        "letters" => &[('a', 'z'), ('A', 'Z')],
        "downcase" => &[('a', 'z')],
        "upcase" => &[('A', 'Z')],
        "alphanumeric" => &[('0', '9'), ('a', 'z'), ('A', 'Z')],
        "hex" => &[('0', '9'), ('a', 'f')],
        "hex_upcase" => &[('0', '9'), ('A', 'F')],
        "base64" => &[('A', 'Z'), ('a', 'z'), ('0', '9'), ('+', '+'), ('/', '/')],
        "ascii_printable" => &[('!', '~')],
        _ => return literal_set(name),
    };
    ranges.iter().flat_map(|(from, to)| *from..=*to).collect()
}

fn literal_set(text: &str) -> Vec<char> {
    let characters: Vec<char> = text.chars().collect();
    let mut set = Vec::new();
    let mut at = 0;
    while at < characters.len() {
        match characters[at..] {
            [from, '-', to, ..]
                if from.is_ascii_alphanumeric() && to.is_ascii_alphanumeric() && from <= to =>
            {
                set.extend(from..=to);
                at += 3;
            }
            _ => {
                set.push(characters[at]);
                at += 1;
            }
        }
    }
    set.dedup();
    set
}

fn random_number(hint: &Value, world: &mut dyn World) -> Result<Value, String> {
    let end = |key: &str| hint.get(key).and_then(Value::as_integer);
    let least = end("min").unwrap_or(0);
    let Some(most) = end("max").or_else(|| hint.as_integer()) else {
        return Err("`random_number` needs `min` and `max`".to_owned());
    };
    let span = most
        .checked_sub(least)
        .and_then(|span| u64::try_from(span).ok());
    let Some(span) = span.and_then(|span| span.checked_add(1)) else {
        return Err("`max` is less than `min`".to_owned());
    };
    let drawn = i64::try_from(world.random(span)).unwrap_or(0);
    Ok(Value::Integer(least.saturating_add(drawn)))
}

/// Version 4: random but for the digits that say so.
fn random_uuid(world: &mut dyn World) -> String {
    let mut hex = |count: usize| -> String {
        let digits =
            (0..count).map(|_| char::from_digit(u32::try_from(world.random(16)).unwrap_or(0), 16));
        digits.map(|digit| digit.unwrap_or('0')).collect()
    };
    let (time, middle, high, low, node) = (hex(8), hex(4), hex(3), hex(3), hex(12));
    let variant = ['8', '9', 'a', 'b'][usize::try_from(world.random(4)).unwrap_or(0).min(3)];
    format!("{time}-{middle}-4{high}-{variant}{low}-{node}")
}

/// A text with the values of variables in the place of their names.
fn interpolated(text: &str, variables: &Variables) -> Result<String, String> {
    let mut filled = String::new();
    let mut at = 0;
    for reference in references_of_value(text) {
        filled.push_str(&text[at..reference.range.start]);
        let name = &text[reference.name];
        let value = variables.get(name);
        let value = value.ok_or_else(|| format!("`{name}` is no variable before it"))?;
        filled.push_str(&value.to_string());
        at = reference.range.end;
    }
    filled.push_str(&text[at..]);
    Ok(filled.replace("$$", "$"))
}

fn evaluated(text: &str, variables: &Variables) -> Result<Value, String> {
    let filled = interpolated(text, variables)?;
    evaluate(&filled).map_err(|problem| format!("`{filled}` cannot be computed: {problem}"))
}

/// The first of `{if, then}`, `{elsif, then}` and `{else}` that holds.
fn chosen(hint: &Value, values: &BTreeMap<String, Value>) -> Result<Value, String> {
    const SHAPE: &str =
        "`condition` is a list of `if` with `then`, `elsif` with `then`, and `else`";
    for branch in hint.as_list().ok_or(SHAPE)? {
        if let Some(otherwise) = branch.get("else") {
            return Ok(otherwise.clone());
        }
        let asked = branch
            .get("if")
            .or_else(|| branch.get("elsif"))
            .ok_or(SHAPE)?;
        if holds(asked, values).map_err(|problem| problem.to_string())? {
            return Ok(branch.get("then").cloned().unwrap_or(Value::Null));
        }
    }
    Ok(Value::Null)
}

/// A key, or a path of keys with dots, of a YAML file or of a variable that holds YAML.
fn of_yaml(
    hint: &Value,
    variables: &Variables,
    context: &Context,
    world: &mut dyn World,
) -> Result<Value, String> {
    let (name, text) = match (hint.get("file"), hint.get("variable")) {
        (Some(file), _) => (
            file.to_string(),
            read_file(&file.to_string(), context, world)?,
        ),
        (None, Some(variable)) => {
            let name = variable.to_string();
            let value = variables.get(&name);
            let value = value.ok_or_else(|| format!("`{name}` is no variable before it"))?;
            (name, value.to_string())
        }
        (None, None) => return Err("`yaml` needs a `file` or a `variable`".to_owned()),
    };
    let parsed = yaml::parse(&name, &text).map_err(|problems| problems.to_string())?;
    let Some(key) = hint.get("key") else {
        return Ok(parsed);
    };
    let key = key.to_string();
    if let Some(value) = parsed.get(&key) {
        return Ok(value.clone());
    }
    let found = key
        .split('.')
        .try_fold(&parsed, |value, part| value.get(part));
    Ok(found.cloned().unwrap_or(Value::Null))
}
