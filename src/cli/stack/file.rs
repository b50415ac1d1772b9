//! Reading a stack file: the text, and every problem in it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::Context;
use kontena_core::id::StackName;
use kontena_core::manifest::compiled::Compiled;
use kontena_core::manifest::{self, Source};

use super::super::failure::Failure;
use super::super::output::Output;

/// One byte more than the core reads, so that a longer file is refused and never cut.
const MAX_BYTES: u64 = (1 << 20) + 1;

pub(super) struct StackFile {
    /// As problems name it.
    name: String,
    text: String,
}

impl StackFile {
    /// `-` is standard input.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            return Ok(read("standard input".to_owned(), std::io::stdin())?);
        }
        let name = path.display().to_string();
        match File::open(path) {
            Ok(file) => Ok(read(name, file)?),
            Err(problem) => {
                let failure = Failure::failed(format!("failed to open `{name}`: {problem}"));
                let is_missing = problem.kind() == std::io::ErrorKind::NotFound;
                Err(if is_missing {
                    failure.hint("name the stack file, or change to its folder")
                } else {
                    failure
                })
            }
        }
    }

    /// What the file means, installed as `name`; problems and warnings are told.
    pub(super) fn compile(
        self,
        output: &Output,
        name: Option<&StackName>,
        grid: &str,
    ) -> Result<Compiled, Failure> {
        let source = Source {
            file: &self.name,
            text: &self.text,
            stack: name,
            grid,
        };
        let parsed = match manifest::parse(&source) {
            Ok(parsed) => parsed,
            Err(problems) => {
                output.talk(&problems.to_string());
                return Err(Failure::Reported);
            }
        };
        for warning in &parsed.warnings {
            output.talk(&warning.display("warning", &self.name).to_string());
        }
        Ok(Compiled {
            name: name.unwrap_or(&parsed.stack.default_name).clone(),
            stack: parsed.stack,
            source: Some(self.text),
        })
    }
}

fn read(name: String, source: impl Read) -> anyhow::Result<StackFile> {
    let mut text = String::new();
    source
        .take(MAX_BYTES)
        .read_to_string(&mut text)
        .with_context(|| format!("failed to read `{name}`"))?;
    Ok(StackFile { name, text })
}
