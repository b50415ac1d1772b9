//! `init`, `join`, `leave`, and join tokens.

use axum::extract::State;
use axum::http::Uri;
use data_encoding::HEXLOWER;
use kontena_core::command::{Accepted, Command, JoinAddress};
use kontena_core::id::{GridName, NodeName, TokenId};
use kontena_core::membership::admission::check_labels;
use kontena_core::network::plan::{AddressPlan, HostRoute, Range};
use kontena_core::view::{JoinToken as Known, View};
use sha2::{Digest, Sha256};

use super::{Answer, List, Shared, changed, entropy, saved, snapshot};
use crate::api::answer::Refused;
use crate::api::backend::Backend;
use crate::api::present::Snapshot;
use crate::api::request::{Body, NoBody, Parameters, Segments};
use crate::api::types::membership::{
    InitAnswer, InitRequest, JoinAnswer, JoinRequest, JoinToken, JoinTokens, LeaveRequest,
    NewJoinToken,
};
use crate::api::types::page::Page;
use crate::api::types::segments::OfToken;
use crate::api::types::{Changed, Saved, Time};

/// What a grid is called unless `--grid` says otherwise.
const DEFAULT_GRID: &str = "default";

/// `POST /v1/init`: this node becomes the first of a grid.
pub(super) async fn init(
    State(backend): Shared,
    Body(request): Body<InitRequest>,
) -> Answer<Changed<InitAnswer>> {
    let grid = request.grid.as_deref().unwrap_or(DEFAULT_GRID);
    check_labels(&request.labels).map_err(Refused::invalid)?;
    let admin_token = entropy(&backend)?;
    let command = Command::Init {
        grid: named::<GridName>(grid)?,
        name: node_name(&backend, request.name.as_deref())?,
        labels: request.labels,
        plan: plan(request.supernet.as_deref(), request.subnet.as_deref())?,
        routes: host_routes(&backend)?,
        grid_seed: entropy(&backend)?,
        token_seed: entropy(&backend)?,
        admin_token: Sha256::digest(admin_token).into(),
    };
    let accepted = backend.carry_out(command).await?;
    let join_token = join_token(&accepted)?;
    let member = member(&backend).await?;
    let answer = InitAnswer {
        grid: member.grid,
        node: member.node,
        address: member.address,
        join_token,
        admin_token: HEXLOWER.encode(&admin_token),
    };
    Ok(saved(answer, accepted.into()))
}

/// `POST /v1/join`: this node is admitted by another one.
pub(super) async fn join(
    State(backend): Shared,
    Body(request): Body<JoinRequest>,
) -> Answer<Changed<JoinAnswer>> {
    named::<JoinAddress>(&request.address)?;
    check_labels(&request.labels).map_err(Refused::invalid)?;
    let command = Command::Join {
        address: request.address,
        token: request.token,
        name: node_name(&backend, request.name.as_deref())?,
        labels: request.labels,
        routes: host_routes(&backend)?,
    };
    let accepted = backend.carry_out(command).await?;
    Ok(saved(member(&backend).await?, accepted.into()))
}

/// `POST /v1/leave`: this node leaves for good.
pub(super) async fn leave(
    State(backend): Shared,
    Body(request): Body<LeaveRequest>,
) -> Answer<Saved> {
    let force = request.force;
    changed(&backend, Command::Leave { force }).await
}

/// `GET /v1/join_tokens`: the oldest first.
pub(super) async fn tokens(
    State(backend): Shared,
    uri: Uri,
    Parameters(page): Parameters<Page>,
) -> List<JoinTokens> {
    let snapshot = snapshot(&backend)?;
    let mut tokens: Vec<_> = snapshot.view.documents.join_tokens.iter().collect();
    tokens.sort_by_key(|(id, token)| (token.created, **id));
    let shown = |(id, token): (&TokenId, &Known)| JoinToken {
        id: id.to_string(),
        created_at: Time::known(token.created),
        revoked: token.revoked,
    };
    page.cut(&uri, tokens, |(id, token)| {
        format!("{:020},{id}", token.created.0)
    })
    .answer(shown, |join_tokens| JoinTokens { join_tokens })
}

/// `POST /v1/join_tokens`: a further token; its text is shown this once.
pub(super) async fn create_token(
    State(backend): Shared,
    _: NoBody,
) -> Answer<Changed<NewJoinToken>> {
    let seed = entropy(&backend)?;
    let accepted = backend.carry_out(Command::CreateJoinToken { seed }).await?;
    let join_token = join_token(&accepted)?;
    Ok(saved(NewJoinToken { join_token }, accepted.into()))
}

/// `DELETE /v1/join_tokens/{id}`: nobody is admitted with it any more.
pub(super) async fn revoke_token(
    State(backend): Shared,
    Segments(OfToken { id }): Segments<OfToken>,
    _: NoBody,
) -> Answer<Saved> {
    let id: TokenId = id
        .parse()
        .map_err(|_| Refused::not_found("join token", &id))?;
    changed(&backend, Command::RevokeJoinToken(id)).await
}

fn join_token(accepted: &Accepted) -> Result<String, Refused> {
    let token = accepted.join_token.clone();
    token.ok_or_else(|| Refused::internal("the node made no join token"))
}

fn plan(supernet: Option<&str>, subnet: Option<&str>) -> Result<AddressPlan, Refused> {
    let standard = AddressPlan::default();
    let supernet = supernet.map(named::<Range>).transpose()?;
    let subnet = subnet.map(named::<Range>).transpose()?;
    let supernet = supernet.unwrap_or_else(|| standard.supernet());
    AddressPlan::new(supernet, subnet).map_err(|problem| Refused::invalid(problem.to_string()))
}

fn host_routes(backend: &Backend) -> Result<Vec<HostRoute>, Refused> {
    let routes = (backend.routes)();
    routes.map_err(|problem| Refused::internal(&format!("{problem:#}")))
}

fn node_name(backend: &Backend, given: Option<&str>) -> Result<NodeName, Refused> {
    match given {
        Some(name) => named(name),
        None => Ok(backend.default_name.clone()),
    }
}

fn named<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Refused> {
    text.parse()
        .map_err(|problem: T::Err| Refused::invalid(problem.to_string()))
}

/// This node as the view shows it, once it is a member.
async fn member(backend: &Backend) -> Result<JoinAnswer, Refused> {
    let me = backend.me;
    let is_member =
        |view: &View| view.documents.grid.name.is_some() && view.documents.roster.contains_key(&me);
    let view = backend.view_with(is_member).await?;
    let snapshot = Snapshot::of(view).ok_or_else(Refused::unseen)?;
    let documents = &snapshot.view.documents;
    let local = backend.local.borrow().addresses.first().cloned();
    let member = documents.roster.get(&me).ok_or_else(Refused::unseen)?;
    Ok(JoinAnswer {
        grid: snapshot.grid.to_string(),
        node: member.name.to_string(),
        address: local.or_else(|| member.addresses.first().cloned()),
    })
}
