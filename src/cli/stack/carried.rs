//! From what a stack file means to what this version carries out: the rest is refused, or told.

use kontena_core::manifest::compiled::{self, Compiled, FieldProblem, FieldProblemKind};
use kontena_stackfile::{Problem, Stack};

/// A stack as this version takes it, and what it leaves out.
#[derive(Debug)]
pub(super) struct Carried {
    pub(super) compiled: Compiled,
    pub(super) left_out: Vec<Problem>,
}

/// What `stack` is when it is installed.
///
/// # Errors
/// Everything that cannot be carried out yet, at the key that asks for it.
pub(super) fn carry(stack: &Stack) -> Result<Carried, Vec<Problem>> {
    let (definition, left_out) = stack.definition();
    match compiled::read(&definition) {
        Ok(compiled) => Ok(Carried { compiled, left_out }),
        Err(problems) => Err(problems
            .iter()
            .map(|problem| place(problem, stack))
            .collect()),
    }
}

fn place(problem: &FieldProblem, stack: &Stack) -> Problem {
    match problem.kind {
        FieldProblemKind::NotCarriedOut => stack
            .problem(&problem.path, "is not carried out yet")
            .with_hint("remove it for now, or wait for a version that carries it out"),
        FieldProblemKind::Invalid => {
            stack.problem(&problem.path, &format!("is refused: {}", problem.message))
        }
    }
}
