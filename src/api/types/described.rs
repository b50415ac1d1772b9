//! A value that is read and written by its own type, and whose schema is another type's.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

/// `T` on the wire, `Shape` in the document of the API: for what the core reads or writes itself.
#[derive(Serialize, Deserialize)]
#[serde(
    transparent,
    bound(serialize = "T: Serialize", deserialize = "T: Deserialize<'de>")
)]
pub(crate) struct Described<T, Shape> {
    pub(crate) value: T,
    #[serde(skip)]
    shape: PhantomData<fn() -> Shape>,
}

impl<T, Shape> Described<T, Shape> {
    pub(crate) fn new(value: T) -> Self {
        let shape = PhantomData;
        Self { value, shape }
    }
}

impl<T: fmt::Debug, Shape> fmt::Debug for Described<T, Shape> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<T, Shape: JsonSchema> JsonSchema for Described<T, Shape> {
    fn inline_schema() -> bool {
        Shape::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        Shape::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        Shape::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Shape::json_schema(generator)
    }
}
