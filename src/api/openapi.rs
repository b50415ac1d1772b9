//! The document of the API (OpenAPI 3.1), made of the routes and of the types that their handlers take and give.
//!
//! In: the routes. Out: JSON, the same for every node of this version. What a handler takes and gives is said by its
//! types ([`inputs`], [`outputs`]); the rest, in words, where the route is named ([`operation`]). Not here: what the
//! types look like on the wire, which their own schemas say (`types`).

mod inputs;
pub(super) mod operation;
pub(super) mod outputs;
mod refusals;

use std::sync::LazyLock;

use aide::generate::in_context;
use aide::openapi::{
    Info, License, OpenApi, Operation, Parameter, PathItem, ReferenceOr, SecurityRequirement,
    SecurityScheme, Tag,
};
use axum::body::Bytes;
use axum::http::Method;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value};

use super::routes::table;

/// What the security scheme is called in the document.
const TOKEN: &str = "token";

const DESCRIPTION: &str = "\
The API of a node of Kontena, a container platform without a master: any node takes any command.

Paths and fields are those of Kontena 1.x; what is marked *ours* it did not have. Answers may get more fields at any \
time: whoever reads them passes over those that are not known. A request is refused for each field that is not known. \
Every answer that is no success has the form of `ErrorBody`. A body has at most 2 MiB; none at all is `{}`.

Over TCP a request needs the administrator's token. Whoever may open the socket of the machine, `/run/kontena/kontena.sock`, \
needs none.";

/// The groups of operations, as they are shown.
const TAGS: &[(&str, &str)] = &[
    (
        table::NODE,
        "The asked node: its state, its grid, who may join",
    ),
    (table::GRIDS, "The grid and its members"),
    (
        table::CONTAINERS,
        "Containers of all nodes: what they are, commands in them, their logs",
    ),
    (table::SERVICES, "Services and their deploys"),
    (table::STACKS, "Stacks, their revisions and deploys"),
    (
        table::REGISTRIES,
        "Where images are pulled from with a name and a password",
    ),
    (
        table::KEYS,
        "The key-value store that every node has, in etcd's place",
    ),
    (table::VPN, "People's machines in the grid's network"),
];

static DOCUMENT: LazyLock<OpenApi> = LazyLock::new(document);

/// The document as it is served.
static TEXT: LazyLock<Result<Bytes, String>> = LazyLock::new(|| {
    let text = serde_json::to_vec(&*DOCUMENT);
    text.map(Bytes::from).map_err(|problem| problem.to_string())
});

/// The document as JSON; the error is that it cannot be written, which is a mistake of ours.
pub(crate) fn text() -> Result<Bytes, String> {
    TEXT.clone()
}

/// The same for people.
pub(crate) fn readable() -> Result<String, String> {
    serde_json::to_string_pretty(&*DOCUMENT).map_err(|problem| problem.to_string())
}

/// Whether the operation of a path, as the router writes it, has parameters in its query. `None` where there is none.
pub(super) fn takes_query(method: &Method, path: &str) -> Option<bool> {
    let item = &DOCUMENT.paths.as_ref()?.paths.get(&named_rest(path))?;
    let item = item.as_item()?;
    let operation = match *method {
        Method::GET => &item.get,
        Method::PUT => &item.put,
        Method::POST => &item.post,
        Method::PATCH => &item.patch,
        Method::DELETE => &item.delete,
        _ => return None,
    };
    let parameters = &operation.as_ref()?.parameters;
    let mut parameters = parameters.iter().filter_map(ReferenceOr::as_item);
    Some(parameters.any(|parameter| matches!(parameter, Parameter::Query { .. })))
}

fn document() -> OpenApi {
    in_context(|context| context.schema = schemas());
    let mut document = OpenApi {
        info: info(),
        tags: TAGS.iter().map(tag).collect(),
        ..OpenApi::default()
    };
    // The router is thrown away: what is served is made of the same functions.
    let protected = table::protected().with_path_items(|mut item| {
        operations(item.inner_mut()).for_each(protect);
        item
    });
    let _ = table::open()
        .merge(protected)
        .finish_api_with(&mut document, |document| {
            let mut document = document.security_scheme(TOKEN, scheme());
            let components = document.inner_mut().components.get_or_insert_default();
            components.responses.extend(refusals::all());
            document
        });
    name_rests(&mut document);
    for (path, item) in document.paths.iter_mut().flat_map(|paths| &mut paths.paths) {
        if let ReferenceOr::Item(item) = item {
            name_operations(path, item);
        }
    }
    document
}

/// The document knows no part of a path that is all that follows: it is a part as any other, with its slashes encoded.
fn name_rests(document: &mut OpenApi) {
    if let Some(paths) = &mut document.paths {
        let items = std::mem::take(&mut paths.paths);
        let named = items.into_iter();
        paths.paths = named
            .map(|(path, item)| (named_rest(&path), item))
            .collect();
    }
}

fn named_rest(path: &str) -> String {
    path.replace("{*", "{")
}

/// In the dialect of OpenAPI 3.1, named types each once.
fn schemas() -> SchemaGenerator {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "#/components/schemas/".into();
        settings
            .transforms
            .push(Box::new(RecursiveTransform(bounded)));
    });
    SchemaGenerator::new(settings)
}

/// A number of so many bits has its limit.
fn bounded(schema: &mut Schema) {
    bound(schema.ensure_object());
}

fn bound(schema: &mut Map<String, Value>) {
    let most = match schema.get("format").and_then(Value::as_str) {
        Some("uint8") => u64::from(u8::MAX),
        Some("uint16") => u64::from(u16::MAX),
        Some("uint32") => u64::from(u32::MAX),
        Some("uint" | "uint64") => u64::MAX,
        _ => return,
    };
    schema.entry("maximum").or_insert_with(|| most.into());
}

fn info() -> Info {
    Info {
        title: "Kontena".to_owned(),
        description: Some(DESCRIPTION.to_owned()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        license: Some(License {
            name: "Apache-2.0".to_owned(),
            identifier: Some("Apache-2.0".to_owned()),
            ..License::default()
        }),
        ..Info::default()
    }
}

fn tag(&(name, description): &(&str, &str)) -> Tag {
    Tag {
        name: name.to_owned(),
        description: Some(description.to_owned()),
        ..Tag::default()
    }
}

fn scheme() -> SecurityScheme {
    SecurityScheme::Http {
        scheme: "bearer".to_owned(),
        bearer_format: Some("64 hexadecimal digits".to_owned()),
        description: Some(
            "The administrator's token, as `kontena init` printed it. It is needed over TCP alone."
                .to_owned(),
        ),
        extensions: Default::default(),
    }
}

/// Without the token it is not answered.
fn protect((_, operation): (&str, &mut Operation)) {
    let needed = SecurityRequirement::from_iter([(TOKEN.to_owned(), Vec::new())]);
    operation.security.push(needed);
    refusals::add(operation, &[401]);
}

/// Each with its method.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let operations = [
        ("get", &mut item.get),
        ("put", &mut item.put),
        ("post", &mut item.post),
        ("patch", &mut item.patch),
        ("delete", &mut item.delete),
    ];
    let operations = operations.into_iter();
    operations.filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// `get_grids_grid_nodes`: names for programs that are made of the document.
fn name_operations(path: &str, item: &mut PathItem) {
    let words = path.trim_start_matches("/v1").split(['/', '{', '}']);
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    for (method, operation) in operations(item) {
        let mut name = vec![method];
        name.extend(&words);
        operation.operation_id = Some(name.join("_").replace('.', "_"));
    }
}
