//! A world of one text: nobody to ask, nothing else to read.

use std::path::PathBuf;

use crate::world::{Location, ReadProblem, World};

/// For a file that is looked at where nothing is installed. Chance always draws the first.
#[derive(Clone, Debug)]
pub struct Alone {
    /// As problems name it.
    pub name: String,
    pub text: String,
}

impl Alone {
    /// Where the text is.
    pub fn location(&self) -> Location {
        Location::Text {
            name: self.name.clone(),
            folder: PathBuf::from("/"),
        }
    }
}

impl World for Alone {
    fn read(&mut self, location: &Location) -> Result<String, ReadProblem> {
        if *location == self.location() {
            return Ok(self.text.clone());
        }
        Err(ReadProblem::Failed(
            "other files are not looked at here".to_owned(),
        ))
    }

    fn random(&mut self, _: u64) -> u64 {
        0
    }
}
