//! What the answers of handlers say of a response.

use aide::OperationOutput;
use aide::generate::GenContext;
use aide::openapi::{
    Header, HeaderStyle, Operation, ParameterSchemaOrContent, ReferenceOr, Response, SchemaObject,
};
use axum::Json;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use schemars::{JsonSchema, json_schema};
use serde::Serialize;

use crate::api::answer::Refused;
use crate::api::page::Paged;
use crate::api::types::log::{FollowedLine, Logs};

/// 201: something that was not there before.
pub(in crate::api) struct Created<T>(pub(in crate::api) Json<T>);

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> axum::response::Response {
        (StatusCode::CREATED, self.0).into_response()
    }
}

impl<T: JsonSchema> OperationOutput for Created<T> {
    type Inner = T;

    fn operation_response(context: &mut GenContext, operation: &mut Operation) -> Option<Response> {
        Json::<T>::operation_response(context, operation)
    }

    fn inferred_responses(
        context: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<u16>, Response)> {
        let created = Self::operation_response(context, operation);
        created
            .map(|created| (Some(201), created))
            .into_iter()
            .collect()
    }
}

impl<T: JsonSchema> OperationOutput for Paged<T> {
    type Inner = T;

    fn operation_response(context: &mut GenContext, operation: &mut Operation) -> Option<Response> {
        let mut response = Json::<T>::operation_response(context, operation)?;
        response
            .headers
            .insert("Link".to_owned(), ReferenceOr::Item(link()));
        Some(response)
    }

    fn inferred_responses(
        context: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<u16>, Response)> {
        let list = Self::operation_response(context, operation);
        list.map(|list| (Some(200), list)).into_iter().collect()
    }
}

/// Lines of logs, at once or as they come.
pub(in crate::api) struct LogAnswer(pub(in crate::api) axum::response::Response);

impl IntoResponse for LogAnswer {
    fn into_response(self) -> axum::response::Response {
        self.0
    }
}

impl OperationOutput for LogAnswer {
    type Inner = Logs;

    fn operation_response(context: &mut GenContext, operation: &mut Operation) -> Option<Response> {
        let mut response = Json::<Logs>::operation_response(context, operation)?;
        let whole = context.schema.subschema_for::<Logs>();
        let line = context.schema.subschema_for::<FollowedLine>();
        for body in response.content.values_mut() {
            body.schema = Some(SchemaObject {
                json_schema: json_schema!({"anyOf": [whole, line]}),
                external_docs: None,
                example: None,
            });
        }
        let text = "The lines that there are; with `follow`, one object for each line of the body, for as long as the \
                    client stays.";
        response.description = text.to_owned();
        Some(response)
    }

    fn inferred_responses(
        context: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<u16>, Response)> {
        let lines = Self::operation_response(context, operation);
        lines.map(|lines| (Some(200), lines)).into_iter().collect()
    }
}

fn link() -> Header {
    let text =
        "Where the next page is, `<?limit=…&after=…>; rel=\"next\"`: there is none after the last.";
    Header {
        description: Some(text.to_owned()),
        style: HeaderStyle::Simple,
        required: false,
        deprecated: None,
        format: ParameterSchemaOrContent::Schema(SchemaObject {
            json_schema: json_schema!({"type": "string"}),
            external_docs: None,
            example: None,
        }),
        example: None,
        examples: Default::default(),
        extensions: Default::default(),
    }
}

/// What is refused is said by the kind of the operation ([`super::operation`]) and by what it takes.
impl OperationOutput for Refused {
    type Inner = Self;
}
