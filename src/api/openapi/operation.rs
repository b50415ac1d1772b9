//! How a route is described where it is named: what it does in a line, and how it may fail beside what its types say.

use aide::openapi::{
    HeaderStyle, Operation, Parameter, ParameterData, ParameterSchemaOrContent, ReferenceOr,
    Response, SchemaObject, StatusCode,
};
use aide::transform::{TransformOperation, TransformResponse};
use axum::Json;
use schemars::json_schema;
use serde_json::Value;

use super::refusals;

/// How anything may fail: a query that is not taken, a host that has too many connections.
const ANY: [u16; 2] = [422, 503];

/// The asked node tells it, in a grid or not.
pub(in crate::api) fn tells(
    summary: &'static str,
) -> impl FnOnce(TransformOperation<'_>) -> TransformOperation<'_> {
    described(summary, &[])
}

/// The document itself: it has no schema of its own here.
pub(in crate::api) fn document(
    summary: &'static str,
) -> impl FnOnce(TransformOperation<'_>) -> TransformOperation<'_> {
    move |operation| {
        described(summary, &[])(operation).response_with::<200, Json<Value>, _>(of_openapi)
    }
}

fn of_openapi(response: TransformResponse<'_, Value>) -> TransformResponse<'_, Value> {
    response.description("OpenAPI 3.1.")
}

/// Told of the grid, as the asked node sees it. Nothing is changed.
pub(in crate::api) fn reads(
    summary: &'static str,
) -> impl FnOnce(TransformOperation<'_>) -> TransformOperation<'_> {
    described(summary, &[404, 409])
}

/// As [`reads`], but the asked node has to think about it.
pub(in crate::api) fn works_out(
    summary: &'static str,
) -> impl FnOnce(TransformOperation<'_>) -> TransformOperation<'_> {
    described(summary, &[404, 409, 500, 503])
}

/// As [`reads`], but the asked node has to ask another.
pub(in crate::api) fn asks(
    summary: &'static str,
) -> impl FnOnce(TransformOperation<'_>) -> TransformOperation<'_> {
    described(summary, &[404, 409, 502])
}

/// A command in a container, run to its end.
pub(in crate::api) fn runs(
    summary: &'static str,
) -> impl FnOnce(TransformOperation<'_>) -> TransformOperation<'_> {
    described(summary, &[404, 409, 502, 503, 504])
}

/// Something that one node does, and no other learns of.
pub(in crate::api) fn does(
    summary: &'static str,
) -> impl FnOnce(TransformOperation<'_>) -> TransformOperation<'_> {
    described(summary, &[404, 409, 422, 502, 503, 504])
}

/// A command to the grid, or to the node.
pub(in crate::api) fn changes(
    summary: &'static str,
) -> impl FnOnce(TransformOperation<'_>) -> TransformOperation<'_> {
    described(summary, &[404, 409, 422, 500, 503, 504, 507])
}

/// A command that needs another node, which may refuse.
pub(in crate::api) fn joins(
    summary: &'static str,
) -> impl FnOnce(TransformOperation<'_>) -> TransformOperation<'_> {
    described(summary, &[403, 409, 422, 500, 502, 503, 504, 507])
}

/// The connection is handed over to one of `protocols`, which the description tells of.
pub(in crate::api) fn hands_over(
    summary: &'static str,
    description: &'static str,
    protocols: &'static [&'static str],
) -> impl FnOnce(TransformOperation<'_>) -> TransformOperation<'_> {
    move |operation| {
        let mut operation = described(summary, &[404, 409, 422, 426, 500, 502, 503])(operation);
        let inner = operation.inner_mut();
        inner.description = Some(description.to_owned());
        inner.parameters.push(ReferenceOr::Item(upgrade(protocols)));
        let responses = inner.responses.get_or_insert_default();
        let switched = Response {
            description: "From here on the connection speaks the protocol that was asked for."
                .to_owned(),
            ..Response::default()
        };
        let status = StatusCode::Code(101);
        responses
            .responses
            .insert(status, ReferenceOr::Item(switched));
        responses.responses.sort_keys();
        operation
    }
}

fn described(
    summary: &'static str,
    refusals: &'static [u16],
) -> impl FnOnce(TransformOperation<'_>) -> TransformOperation<'_> {
    move |operation| {
        let mut operation = operation.summary(summary);
        let inner = operation.inner_mut();
        name_answers(inner, summary);
        let named = names_something(inner);
        let possible: Vec<u16> = refusals
            .iter()
            .copied()
            .filter(|status| *status != 404 || named)
            .collect();
        refusals::add(inner, &possible);
        refusals::add(inner, &ANY);
        operation
    }
}

/// An answer whose type says nothing of itself is what the operation is about.
fn name_answers(operation: &mut Operation, summary: &str) {
    let responses = operation.responses.iter_mut();
    for (_, response) in responses.flat_map(|responses| &mut responses.responses) {
        if let ReferenceOr::Item(response) = response
            && response.description.is_empty()
        {
            summary.clone_into(&mut response.description);
        }
    }
}

/// What has no name in its path cannot be missing.
fn names_something(operation: &Operation) -> bool {
    let mut parameters = operation.parameters.iter().filter_map(ReferenceOr::as_item);
    parameters.any(|parameter| matches!(parameter, Parameter::Path { .. }))
}

fn upgrade(protocols: &[&str]) -> Parameter {
    let json_schema = json_schema!({"type": "string", "enum": protocols});
    Parameter::Header {
        parameter_data: ParameterData {
            name: "Upgrade".to_owned(),
            description: Some("With `Connection: Upgrade`.".to_owned()),
            required: true,
            deprecated: None,
            format: ParameterSchemaOrContent::Schema(SchemaObject {
                json_schema,
                external_docs: None,
                example: None,
            }),
            example: None,
            examples: Default::default(),
            explode: None,
            extensions: Default::default(),
        },
        style: HeaderStyle::Simple,
    }
}
