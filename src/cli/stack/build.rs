//! `stack build`: images of a stack's services, built and pushed by this machine's own Docker.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use kontena_core::id::{GridName, ServiceName, StackName};
use kontena_stackfile::Value;
use serde::Serialize;

use super::super::failure::Failure;
use super::super::output::Output;
use super::file::Reading;
use super::stack_name;
use super::validate::NO_GRID;
use super::values::Values;

/// Between two looks whether a program has ended.
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Args, Debug)]
pub(super) struct Build {
    /// Services of the file; all that have `build` where none is named
    #[arg(value_name = "SERVICE")]
    services: Vec<ServiceName>,
    /// The stack file, or `-` for standard input
    #[arg(short, long, default_value = "kontena.yml")]
    file: PathBuf,
    /// What it is installed as [default: the last part of the file's own name]
    #[arg(short, long, value_parser = stack_name)]
    name: Option<StackName>,
    #[command(flatten)]
    values: Values,
    /// Build each layer anew
    #[arg(long)]
    no_cache: bool,
    /// Take the base images that are here already
    #[arg(long)]
    no_pull: bool,
    /// Only build: push nothing
    #[arg(long)]
    no_push: bool,
    /// Run Docker with `sudo`
    #[arg(long)]
    sudo: bool,
    /// The longest that one build, push or hook may take
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    timeout: u64,
}

/// An image that was built. It is its own `--json`.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Built {
    service: String,
    image: String,
    pushed: bool,
}

/// What a service says of its image's build.
#[derive(Debug, PartialEq, Eq)]
struct Recipe {
    service: String,
    image: String,
    context: String,
    dockerfile: Option<String>,
    /// `NAME=VALUE`.
    arguments: Vec<String>,
    /// Commands of the shell that come before.
    hooks: Vec<String>,
}

pub(super) fn build(
    output: &Output,
    grid: Option<&GridName>,
    asked: &Build,
) -> Result<(), Failure> {
    let (grid, platform) = grid.map_or(NO_GRID, |grid| (grid.as_str(), grid.as_str()));
    let stack = Reading {
        output,
        file: &asked.file,
        name: asked.name.as_ref(),
        grid,
        platform,
        values: &asked.values,
        known: BTreeMap::new(),
        previous: BTreeMap::new(),
        services: None,
    }
    .stack()?;
    let recipes = chosen(recipes(&stack.payload), &asked.services)?;
    let mut built = Vec::new();
    for recipe in recipes {
        build_one(output, asked, &recipe)?;
        built.push(Built {
            service: recipe.service,
            image: recipe.image,
            pushed: !asked.no_push,
        });
    }
    if output.is_json() {
        return output.json(&built);
    }
    let images = built.iter().map(|one| format!("{}\n", one.image));
    output.data(&images.collect::<String>())
}

fn recipes(payload: &Value) -> Vec<Recipe> {
    let services = payload.get("services").and_then(Value::as_list);
    services.into_iter().flatten().filter_map(recipe).collect()
}

fn recipe(service: &Value) -> Option<Recipe> {
    let said = |value: &Value, key: &str| {
        let value = value.get(key).filter(|value| !value.is_null());
        value.map(ToString::to_string)
    };
    let build = service.get("build").filter(|build| !build.is_null())?;
    let arguments = build.get("args").and_then(Value::as_map);
    let hooks = service
        .get("hooks")
        .and_then(|hooks| hooks.get("pre_build"));
    let hooks = hooks.and_then(Value::as_list).into_iter().flatten();
    Some(Recipe {
        service: said(service, "name")?,
        image: said(service, "image")?,
        context: said(build, "context")?,
        dockerfile: said(build, "dockerfile"),
        arguments: arguments
            .into_iter()
            .flatten()
            .map(|(name, value)| format!("{name}={value}"))
            .collect(),
        hooks: hooks.filter_map(|hook| said(hook, "cmd")).collect(),
    })
}

/// The named ones, in the order of the file.
fn chosen(recipes: Vec<Recipe>, services: &[ServiceName]) -> Result<Vec<Recipe>, Failure> {
    let has = |name: &&ServiceName| recipes.iter().any(|one| one.service == name.as_str());
    if let Some(other) = services.iter().find(|name| !has(name)) {
        return Err(Failure::failed(format!("service `{other}` has no `build`")));
    }
    if recipes.is_empty() {
        return Err(Failure::failed("no service of the file has `build`")
            .hint("add `build: FOLDER` to the services whose images are built here"));
    }
    let is_wanted = |one: &Recipe| {
        services.is_empty() || services.iter().any(|name| one.service == name.as_str())
    };
    Ok(recipes.into_iter().filter(is_wanted).collect())
}

fn build_one(output: &Output, asked: &Build, recipe: &Recipe) -> Result<(), Failure> {
    let limit = Duration::from_secs(asked.timeout);
    for hook in &recipe.hooks {
        output.talk(&format!("running `{hook}`"));
        let mut shell = Command::new("sh");
        shell.args(["-c", hook]).current_dir(folder(&asked.file));
        carry_out(shell, limit, &format!("the hook `{hook}`"))?;
    }
    output.talk(&format!("building image `{}`", recipe.image));
    let mut docker = docker(asked.sudo);
    docker.args(build_arguments(asked, recipe));
    carry_out(docker, limit, &format!("the build of `{}`", recipe.image))?;
    if asked.no_push {
        return Ok(());
    }
    output.talk(&format!("pushing image `{}`", recipe.image));
    let mut docker = self::docker(asked.sudo);
    docker.args(["push", "--", &recipe.image]);
    carry_out(docker, limit, &format!("the push of `{}`", recipe.image))
}

/// The folder of the file, in which its hooks run.
fn folder(file: &Path) -> &Path {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or_else(|| Path::new("."))
}

fn docker(sudo: bool) -> Command {
    if !sudo {
        return Command::new("docker");
    }
    let mut command = Command::new("sudo");
    command.arg("docker");
    command
}

fn build_arguments(asked: &Build, recipe: &Recipe) -> Vec<String> {
    let mut arguments = vec!["build".to_owned(), format!("--tag={}", recipe.image)];
    if asked.no_cache {
        arguments.push("--no-cache".to_owned());
    }
    if !asked.no_pull {
        arguments.push("--pull".to_owned());
    }
    if let Some(dockerfile) = &recipe.dockerfile {
        let path = Path::new(&recipe.context).join(dockerfile);
        arguments.push(format!("--file={}", path.display()));
    }
    let given = recipe.arguments.iter();
    arguments.extend(given.map(|argument| format!("--build-arg={argument}")));
    arguments.extend(["--".to_owned(), recipe.context.clone()]);
    arguments
}

/// Runs a program to its end; what it prints is talk.
fn carry_out(mut program: Command, limit: Duration, what: &str) -> Result<(), Failure> {
    let name = program.get_program().to_string_lossy().into_owned();
    let child = program
        .stdin(Stdio::null())
        .stdout(Stdio::from(std::io::stderr()))
        .spawn()
        .with_context(|| format!("failed to run `{name}`"))?;
    let ended = wait(child, limit).with_context(|| format!("failed to wait for `{name}`"))?;
    match ended {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(Failure::failed(format!("{what} failed: {status}"))),
        None => Err(
            Failure::failed(format!("{what} took longer than {} s", limit.as_secs()))
                .hint("`--timeout` allows more"),
        ),
    }
}

/// `None` if it took too long, and was ended for that.
fn wait(mut child: Child, limit: Duration) -> std::io::Result<Option<std::process::ExitStatus>> {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if began.elapsed() >= limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(PAUSE);
    }
}
