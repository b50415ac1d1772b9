//! How a deploy of a service goes on and ends, where Kontena had no word for it.

use std::num::NonZeroU32;

use serde_json::{Map, Value, json};

use super::field::{Field, FieldProblem};
use crate::stack::{Deploy, OnFailure, Order, Service};

/// Which of it is to be set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RolloutChange {
    pub order: Option<Order>,
    pub on_failure: Option<OnFailure>,
    /// `Some(None)`, in JSON 0, replaces all without a stop.
    pub canary: Option<Option<NonZeroU32>>,
}

impl RolloutChange {
    /// Of the object `deploy_opts`.
    pub(super) const FIELDS: [&str; 3] = ["order", "on_failure", "canary"];

    pub(super) fn from(deploy: &Deploy) -> Self {
        Self {
            order: Some(deploy.order).filter(|order| !order.is_stop_first()),
            on_failure: Some(deploy.on_failure).filter(|on_failure| !on_failure.is_halt()),
            canary: deploy.canary.map(Some),
        }
    }

    pub(super) fn read(deploy: &Field<'_>, problems: &mut Vec<FieldProblem>) -> Self {
        let order = deploy.get("order");
        let on_failure = deploy.get("on_failure");
        let canary = deploy.get("canary");
        Self {
            order: order.and_then(|field| field.parsed(str::parse, problems)),
            on_failure: on_failure.and_then(|field| field.parsed(str::parse, problems)),
            canary: canary
                .and_then(|field| field.number(0, Service::MAX_INSTANCES, problems))
                .map(NonZeroU32::new),
        }
    }

    pub(super) fn write(&self, deploy: &mut Map<String, Value>) {
        if let Some(order) = self.order {
            deploy.insert("order".to_owned(), json!(order));
        }
        if let Some(on_failure) = self.on_failure {
            deploy.insert("on_failure".to_owned(), json!(on_failure));
        }
        if let Some(canary) = self.canary {
            let count = canary.map_or(0, NonZeroU32::get);
            deploy.insert("canary".to_owned(), json!(count));
        }
    }

    pub(super) fn set_on(self, deploy: &mut Deploy) {
        super::set(&mut deploy.order, self.order);
        super::set(&mut deploy.on_failure, self.on_failure);
        super::set(&mut deploy.canary, self.canary);
    }
}
