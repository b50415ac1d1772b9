//! YAML tags: `!!str` and those that change nothing. Any other could make a value mean what no
//! reader of the file expects.

use saphyr_parser::Tag;

use super::problem::Position;
use super::yaml::Stop;

fn core_suffix(tag: &Tag) -> Option<&str> {
    tag.is_yaml_core_schema().then_some(tag.suffix.as_str())
}

pub(super) fn check_scalar(tag: Option<&Tag>, at: Position) -> Result<(), Stop> {
    match tag {
        None => Ok(()),
        Some(tag) if core_suffix(tag) == Some("str") => Ok(()),
        Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => Ok(()),
        Some(tag) => Err(unknown_tag(tag, at)),
    }
}

pub(super) fn check_collection(tag: Option<&Tag>, at: Position) -> Result<(), Stop> {
    match tag {
        None => Ok(()),
        Some(tag) if matches!(core_suffix(tag), Some("map" | "seq")) => Ok(()),
        Some(tag) => Err(unknown_tag(tag, at)),
    }
}

fn unknown_tag(tag: &Tag, at: Position) -> Stop {
    let message = format!("the tag `{}{}` is not supported", tag.handle, tag.suffix);
    (at, message, Some("remove it, or quote the value"))
}
