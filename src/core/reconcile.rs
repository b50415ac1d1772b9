//! Desired × observed → actions, for this node alone.

pub mod action;
