//! Commands about the deploy of record of a service → edits.

use super::Refusal;
use super::service::find;
use crate::document::edit::Edit;
use crate::id::ServiceKey;
use crate::placement::{lags, place};
use crate::view::{Deployed, HaltCause, ServiceRecord, View};

/// `service abort`: nobody goes on with the deploy. Without a wish, a deploy that waits to be promoted is taken
/// back, and another one stays as far as it got.
pub(super) fn abort(
    view: &View,
    key: &ServiceKey,
    rollback: Option<bool>,
) -> Result<Vec<Edit>, Refusal> {
    let deployed = of_record(key, find(view, key)?)?;
    let is_under_way = is_under_way(view, key, deployed);
    let is_canary = deployed.canary().is_some() && deployed.halt.is_none() && is_under_way;
    let rollback = rollback.unwrap_or(is_canary);
    let halted = deployed.halt.as_ref();
    if rollback {
        check_way_back(key, deployed)?;
    } else if halted.is_some() {
        return Ok(Vec::new());
    } else if !is_under_way {
        let text = format!("the deploy of service `{key}` is over: there is nothing to abort");
        return Err(Refusal::Invalid(text));
    }
    Ok(vec![Edit::Halt {
        service: key.clone(),
        generation: deployed.generation,
        revision: deployed.revision.hash,
        // One that is halted already goes on to say why.
        cause: halted.map_or(HaltCause::Aborted, |halt| halt.cause.clone()),
        rollback,
    }])
}

/// `service promote`: those that wait for the first few follow.
pub(super) fn promote(view: &View, key: &ServiceKey) -> Result<Vec<Edit>, Refusal> {
    let deployed = of_record(key, find(view, key)?)?;
    if let Some(halt) = &deployed.halt {
        let text = format!(
            "the deploy of service `{key}` is halted: {}; deploy it again",
            halt.cause
        );
        return Err(Refusal::Invalid(text));
    }
    if deployed.canary().is_none() {
        let text = format!("the deploy of service `{key}` waits for nobody");
        return Err(Refusal::Invalid(text));
    }
    Ok(vec![Edit::Promote {
        service: key.clone(),
        generation: deployed.generation,
        revision: deployed.revision.hash,
    }])
}

fn of_record<'a>(key: &ServiceKey, record: &'a ServiceRecord) -> Result<&'a Deployed, Refusal> {
    let deployed = record.deployed.as_ref();
    deployed.ok_or_else(|| Refusal::Invalid(format!("service `{key}` was never deployed")))
}

fn check_way_back(key: &ServiceKey, deployed: &Deployed) -> Result<(), Refusal> {
    let is_way_back = deployed.takes_back.is_some();
    let leads_elsewhere = deployed
        .previous
        .as_ref()
        .is_some_and(|previous| previous.hash != deployed.revision.hash);
    if leads_elsewhere && !is_way_back {
        return Ok(());
    }
    let text = format!("service `{key}` has nothing before this deploy that it could go back to");
    Err(Refusal::Invalid(text))
}

fn is_under_way(view: &View, key: &ServiceKey, deployed: &Deployed) -> bool {
    lags(view, &place(view), key, deployed)
}
