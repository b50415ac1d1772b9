//! The world of a stack file on this machine: its disk, its environment, its terminal, and the web.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;
use kontena_stackfile::{
    AnswerKind, Choice, Location, Question, ReadProblem, Value, World, yaml::MAX_BYTES,
};
use sha2::{Digest, Sha256};

use super::super::failure::Failure;
use super::super::output::Output;
use super::registry;
use crate::api::types::service::Service;
use crate::entropy::entropy;
use crate::registry::{InvalidReference, Limits, Reference, Refused, Web};

pub(super) struct Machine<'a> {
    output: &'a Output,
    /// Where paths begin.
    folder: PathBuf,
    random: Random,
    /// What the grid runs; `None` where no node is asked.
    services: Option<Vec<Service>>,
    /// Standard input, once it was read.
    input: Option<String>,
    /// What registries and the web answered, or did not: each is asked once, and so says one thing.
    elsewhere: BTreeMap<Location, Result<String, ReadProblem>>,
}

impl<'a> Machine<'a> {
    pub(super) fn new(output: &'a Output, services: Option<Vec<Service>>) -> Result<Self, Failure> {
        let folder = std::env::current_dir().context("failed to find the current folder")?;
        let seed = entropy().context("failed to get random bytes")?;
        Ok(Self {
            output,
            folder,
            random: Random { seed, drawn: 0 },
            services,
            input: None,
            elsewhere: BTreeMap::new(),
        })
    }

    /// Where the stack file is that the user names: `-` is standard input; what is no file may be in a registry.
    pub(super) fn location(&self, path: &Path) -> Location {
        if path.as_os_str() == "-" {
            return Location::Text {
                name: "standard input".to_owned(),
                folder: self.folder.clone(),
            };
        }
        let text = path.display().to_string();
        if text.contains("://") {
            return Location::Url(text);
        }
        let file = Location::file(&self.folder, &text);
        let is_there = self.folder.join(path).exists();
        match !is_there && Location::is_registry_reference(&text) {
            true => Location::Registry(text),
            false => file,
        }
    }

    fn read_elsewhere(&mut self, location: &Location) -> Result<String, ReadProblem> {
        if let Some(known) = self.elsewhere.get(location) {
            return known.clone();
        }
        let answer = match location {
            Location::Registry(name) => pulled(self.output, name),
            Location::Url(url) => Web::new(Limits::default()).read(url).map_err(refused),
            Location::File(_) | Location::Text { .. } => Err(ReadProblem::Missing),
        };
        self.elsewhere.insert(location.clone(), answer.clone());
        answer
    }

    fn read_input(&mut self) -> Result<String, ReadProblem> {
        if self.input.is_none() {
            self.input = Some(read(std::io::stdin())?);
        }
        Ok(self.input.clone().unwrap_or_default())
    }

    /// The line that somebody types; `None` where there is nobody.
    fn line(&self, question: &str) -> Option<String> {
        if !std::io::stdin().is_terminal() {
            return None;
        }
        // Whoever cannot be heard did not answer.
        self.output.ask(question).ok().flatten()
    }

    fn choose(&self, question: &Question, choices: &[Choice], many: bool) -> Option<Value> {
        if !std::io::stdin().is_terminal() {
            return None;
        }
        for (index, choice) in choices.iter().enumerate() {
            self.output
                .talk(&format!("  {}  {}", index + 1, choice.label));
        }
        let how = if many {
            "numbers, with commas"
        } else {
            "a number"
        };
        let line = self.line(&format!("{} ({how}):", question.text))?;
        let chosen = line.split(',').filter_map(|number| {
            let index = number.trim().parse::<usize>().ok()?.checked_sub(1)?;
            Some(choices.get(index)?.value.clone())
        });
        let mut chosen: Vec<Value> = chosen.collect();
        match (many, chosen.is_empty()) {
            (_, true) => None,
            (true, false) => Some(Value::List(chosen)),
            (false, false) => Some(chosen.swap_remove(0)),
        }
    }
}

/// The text of a stack of the registry that the environment names.
fn pulled(output: &Output, name: &str) -> Result<String, ReadProblem> {
    let stack: Reference = name
        .parse()
        .map_err(|problem: InvalidReference| ReadProblem::Failed(problem.to_string()))?;
    let registry = registry::open(output).map_err(|problem| {
        let why = format!("there is no such file, and {}", problem.why);
        refused(Refused::new(why).hint(problem.hint.unwrap_or_default()))
    })?;
    registry.pull(&stack).map_err(refused)
}

fn refused(refused: Refused) -> ReadProblem {
    match refused.hint {
        Some(hint) => ReadProblem::Refused {
            why: refused.why,
            hint,
        },
        None => ReadProblem::Failed(refused.why),
    }
}

fn read(source: impl Read) -> Result<String, ReadProblem> {
    // One byte more than is allowed, so that a longer text is refused and never cut.
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX) + 1;
    let mut text = String::new();
    let read = source.take(limit).read_to_string(&mut text);
    read.map_err(|problem| ReadProblem::Failed(problem.to_string()))?;
    Ok(text)
}

/// Numbers that nobody can guess, out of one seed.
struct Random {
    seed: [u8; 32],
    drawn: u64,
}

impl Random {
    fn next(&mut self) -> u64 {
        self.drawn += 1;
        let mut hash = Sha256::new();
        hash.update(self.seed);
        hash.update(self.drawn.to_be_bytes());
        let digest: [u8; 32] = hash.finalize().into();
        u64::from_be_bytes(digest[..8].try_into().expect("a digest has 32 bytes"))
    }

    /// Each number is as likely as any other: what is left over at the end of the range is drawn again.
    fn below(&mut self, below: u64) -> u64 {
        let left_over = u64::MAX % below;
        loop {
            let number = self.next();
            if number < u64::MAX - left_over {
                return number % below;
            }
        }
    }
}

impl World for Machine<'_> {
    fn read(&mut self, location: &Location) -> Result<String, ReadProblem> {
        match location {
            Location::File(path) => match File::open(path) {
                Ok(file) => read(file),
                Err(problem) if problem.kind() == std::io::ErrorKind::NotFound => {
                    Err(ReadProblem::Missing)
                }
                Err(problem) => Err(ReadProblem::Failed(problem.to_string())),
            },
            Location::Text { .. } => self.read_input(),
            Location::Registry(_) | Location::Url(_) => self.read_elsewhere(location),
        }
    }

    fn shown(&self, location: &Location) -> String {
        match location {
            Location::File(path) => {
                let below = path.strip_prefix(&self.folder);
                below.unwrap_or(path).display().to_string()
            }
            Location::Registry(_) | Location::Url(_) | Location::Text { .. } => {
                location.to_string()
            }
        }
    }

    fn registry(&self) -> Option<String> {
        registry::url()
    }

    fn environment(&mut self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn random(&mut self, below: u64) -> u64 {
        self.random.below(below.max(1))
    }

    fn ask(&mut self, question: &Question) -> Option<Value> {
        let default = question.default.as_ref().map(ToString::to_string);
        let default = default.map_or(String::new(), |default| format!(" [{default}]"));
        let text = format!("{}{default}:", question.text);
        match &question.answer {
            AnswerKind::Text { shown: true } => self.line(&text).map(Value::Text),
            AnswerKind::Text { shown: false } => {
                let _hidden = crate::cli::echo::hide();
                self.line(&text).map(Value::Text)
            }
            AnswerKind::YesNo => self
                .line(&format!("{} (y/n){default}:", question.text))
                .map(|line| match line.to_lowercase().as_str() {
                    "y" => Value::Boolean(true),
                    "n" => Value::Boolean(false),
                    _ => Value::Text(line),
                }),
            AnswerKind::One(choices) => self.choose(question, choices, false),
            AnswerKind::Many(choices) => self.choose(question, choices, true),
        }
    }

    fn services(&mut self, image: Option<&str>, name: Option<&str>) -> Option<Vec<String>> {
        let services = self.services.as_ref()?.iter();
        let wanted = |text: &str, part: Option<&str>| part.is_none_or(|part| text.contains(part));
        let services = services
            .filter(|service| {
                wanted(
                    service.definition.image.as_deref().unwrap_or_default(),
                    image,
                ) && wanted(&service.name, name)
            })
            .map(|service| format!("{}/{}", service.stack.name, service.name));
        Some(services.collect())
    }

    fn instances(&mut self, stack: &str, service: &str) -> Option<u32> {
        let mut services = self.services.as_ref()?.iter();
        let found = services.find(|one| one.stack.name == stack && one.name == service);
        found.map(|service| service.instances)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_number_is_below_its_limit_and_no_two_are_alike() {
        let mut random = Random {
            seed: [7; 32],
            drawn: 0,
        };
        assert!((0..1_000).all(|_| random.below(3) < 3));
        assert_eq!(random.below(1), 0);
        assert_ne!(random.next(), random.next());
    }
}
