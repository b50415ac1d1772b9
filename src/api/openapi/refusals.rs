//! Answers that are no success, each said once and referred to by whatever may answer it.

use aide::generate::in_context;
use aide::openapi::{MediaType, Operation, ReferenceOr, Response, SchemaObject, StatusCode};

use crate::api::types::error::ErrorBody;

const PLACE: &str = "#/components/responses/";

/// What each status means.
const MEANINGS: [(u16, &str); 13] = [
    (401, "The token is missing, or is none of this grid's."),
    (403, "The join token is not accepted."),
    (404, "Something that is named does not exist."),
    (408, "The body did not arrive in time."),
    (
        409,
        "It cannot be so now: the node belongs to no grid, it exists already, it needs `force` …",
    ),
    (413, "The body is larger than 2 MiB."),
    (
        422,
        "A parameter or the body is wrong; the message names each field.",
    ),
    (
        426,
        "The request does not ask for an upgrade that this path has: the header `Upgrade` names them.",
    ),
    (500, "A mistake of this node or its host."),
    (
        502,
        "Another node or program, which has to be asked, does not answer.",
    ),
    (
        503,
        "The node has too much to do, or its daemon stops: nothing was changed.",
    ),
    (504, "It takes too long; a change may still be made."),
    (507, "The node's disk takes nothing: nothing was changed."),
];

/// Adds these statuses to what an operation may answer.
pub(super) fn add(operation: &mut Operation, statuses: &[u16]) {
    let responses = operation.responses.get_or_insert_default();
    for status in statuses {
        let reference = ReferenceOr::ref_(&format!("{PLACE}{}", name(*status)));
        responses
            .responses
            .insert(StatusCode::Code(*status), reference);
    }
    responses.responses.sort_keys();
}

/// All that there are, by the names that they are referred to.
pub(super) fn all() -> impl Iterator<Item = (String, ReferenceOr<Response>)> {
    MEANINGS
        .into_iter()
        .map(|(status, meaning)| (name(status), ReferenceOr::Item(refusal(meaning))))
}

fn name(status: u16) -> String {
    format!("Refused{status}")
}

fn refusal(meaning: &str) -> Response {
    let body = MediaType {
        schema: Some(SchemaObject {
            json_schema: in_context(|context| context.schema.subschema_for::<ErrorBody>()),
            external_docs: None,
            example: None,
        }),
        ..MediaType::default()
    };
    Response {
        description: meaning.to_owned(),
        content: [("application/json".to_owned(), body)]
            .into_iter()
            .collect(),
        ..Response::default()
    }
}
