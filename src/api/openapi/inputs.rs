//! What the extractors of handlers say of a request.

use aide::OperationInput;
use aide::generate::GenContext;
use aide::openapi::{MediaType, Operation, RequestBody, SchemaObject};
use aide::operation::{ParamLocation, add_parameters, parameters_from_schema, set_body};
use schemars::{JsonSchema, Schema, json_schema};
use serde_json::{Map, Value};

use super::{bound, refusals};
use crate::api::request::{Body, NoBody, Parameters, Segments};

impl<T: JsonSchema> OperationInput for Segments<T> {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        let schema = T::json_schema(&mut context.schema);
        let parameters = parameters_from_schema(context, schema, ParamLocation::Path);
        add_parameters(context, operation, parameters);
    }
}

impl<T: JsonSchema> OperationInput for Parameters<T> {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        let schema = present(T::json_schema(&mut context.schema));
        let parameters = parameters_from_schema(context, schema, ParamLocation::Query);
        add_parameters(context, operation, parameters);
        refusals::add(operation, &[422]);
    }
}

impl<T: JsonSchema> OperationInput for Body<T> {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        let schema = context.schema.subschema_for::<T>();
        let resolved = context.resolve_schema(&schema);
        let needed = resolved
            .get("required")
            .and_then(|fields| fields.as_array());
        // None at all is `{}`, which is right where no field is needed.
        let required = needed.is_some_and(|fields| !fields.is_empty());
        set_body(context, operation, body(schema, required));
        refusals::add(operation, &[408, 413, 422]);
    }
}

impl OperationInput for NoBody {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        let nothing = json_schema!({"type": ["object", "null"], "additionalProperties": false});
        set_body(context, operation, body(nothing, false));
        refusals::add(operation, &[408, 413, 422]);
    }
}

fn body(json_schema: Schema, required: bool) -> RequestBody {
    let json = MediaType {
        schema: Some(SchemaObject {
            json_schema,
            external_docs: None,
            example: None,
        }),
        ..MediaType::default()
    };
    RequestBody {
        description: None,
        content: [("application/json".to_owned(), json)]
            .into_iter()
            .collect(),
        required,
        extensions: Default::default(),
    }
}

/// A parameter of a query is there or not: it is never null.
fn present(mut schema: Schema) -> Schema {
    let fields = schema.ensure_object();
    let properties = fields.get_mut("properties").and_then(Value::as_object_mut);
    let properties = properties.into_iter().flatten();
    let properties = properties.filter_map(|(_, property)| property.as_object_mut());
    properties.for_each(|property| {
        without_null(property);
        bound(property);
    });
    schema
}

fn without_null(property: &mut Map<String, Value>) {
    let kinds = property.get_mut("type").and_then(Value::as_array_mut);
    if let Some(kinds) = kinds {
        kinds.retain(|kind| kind != "null");
    }
    let choices = property.get("anyOf").and_then(Value::as_array);
    let real = choices.and_then(|choices| choices.iter().find(|choice| choice["type"] != "null"));
    if let Some(real) = real.and_then(Value::as_object).cloned() {
        property.remove("anyOf");
        property.extend(real);
    }
}
