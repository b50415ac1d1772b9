//! What placement is told of a service, in the words of Kontena's API.

use std::num::NonZeroU32;

use serde_json::{Map, Value, json};

use super::field::{Field, FieldProblem, Fields};
use super::service::list;
use super::written::write_seconds;
use crate::stack::{Deploy, OnReturn, Service, Spread, SpreadLabel, Takeover, grace_millis};

const OFFLINE: Fields = Fields {
    known: &[&["replace_after", "takeover", "on_return"]],
    not_yet: &[],
};

/// Which of it is to be set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlacingChange {
    /// Empty is Kontena's own, the label `az`.
    pub spread: Option<Spread>,
    /// `Some(None)`, in JSON 0, is any number.
    pub max_per_node: Option<Option<NonZeroU32>>,
    /// In milliseconds.
    pub replace_after: Option<u64>,
    pub takeover: Option<Takeover>,
    pub on_return: Option<OnReturn>,
    pub rebalance: Option<bool>,
    /// How many of the nodes that come next keep the image ready.
    pub standby_images: Option<u8>,
}

impl PlacingChange {
    /// Of the object `deploy_opts`.
    pub(super) const FIELDS: [&str; 5] = [
        "spread",
        "max_per_node",
        "offline",
        "rebalance",
        "standby_images",
    ];

    pub(super) fn from(deploy: &Deploy) -> Self {
        let offline = &deploy.offline;
        Self {
            spread: Some(deploy.spread.clone()).filter(|spread| !spread.is_empty()),
            max_per_node: deploy.max_per_node.map(Some),
            replace_after: said(offline.replace_after_millis),
            takeover: said(offline.takeover),
            on_return: said(offline.on_return),
            rebalance: said(deploy.rebalance),
            standby_images: Some(deploy.standby_images)
                .filter(|images| *images != Deploy::MAX_STANDBY_IMAGES),
        }
    }

    pub(super) fn read(deploy: &Field<'_>, problems: &mut Vec<FieldProblem>) -> Self {
        let most = deploy.get("max_per_node");
        Self {
            spread: spread(deploy, problems),
            max_per_node: most
                .and_then(|field| field.number(0, Service::MAX_INSTANCES, problems))
                .map(NonZeroU32::new),
            rebalance: deploy
                .get("rebalance")
                .and_then(|field| field.boolean(problems)),
            standby_images: deploy
                .get("standby_images")
                .and_then(|field| field.number(0, Deploy::MAX_STANDBY_IMAGES.into(), problems))
                .and_then(|images| images.try_into().ok()),
            ..Self::read_offline(deploy, problems)
        }
    }

    fn read_offline(deploy: &Field<'_>, problems: &mut Vec<FieldProblem>) -> Self {
        let offline = deploy.get("offline");
        let known = offline.filter(|field| field.check_fields(&OFFLINE, problems).is_some());
        let Some(offline) = known else {
            return Self::default();
        };
        let after = offline.get("replace_after");
        let takeover = offline.get("takeover");
        let on_return = offline.get("on_return");
        Self {
            replace_after: after.and_then(|field| field.parsed(grace_millis, problems)),
            takeover: takeover.and_then(|field| field.parsed(str::parse, problems)),
            on_return: on_return.and_then(|field| field.parsed(str::parse, problems)),
            ..Self::default()
        }
    }

    fn write_offline(&self) -> Map<String, Value> {
        let mut offline = Map::new();
        if let Some(millis) = self.replace_after {
            offline.insert("replace_after".to_owned(), write_seconds(millis));
        }
        if let Some(takeover) = self.takeover {
            offline.insert("takeover".to_owned(), json!(takeover));
        }
        if let Some(on_return) = self.on_return {
            offline.insert("on_return".to_owned(), json!(on_return));
        }
        offline
    }

    pub(super) fn write(&self, deploy: &mut Map<String, Value>) {
        if let Some(spread) = &self.spread {
            deploy.insert("spread".to_owned(), json!(spread));
        }
        if let Some(most) = self.max_per_node {
            deploy.insert(
                "max_per_node".to_owned(),
                json!(most.map_or(0, NonZeroU32::get)),
            );
        }
        if let Some(rebalance) = self.rebalance {
            deploy.insert("rebalance".to_owned(), json!(rebalance));
        }
        if let Some(images) = self.standby_images {
            deploy.insert("standby_images".to_owned(), json!(images));
        }
        let offline = self.write_offline();
        if !offline.is_empty() {
            deploy.insert("offline".to_owned(), Value::Object(offline));
        }
    }

    pub(super) fn set_on(self, deploy: &mut Deploy) {
        super::set(&mut deploy.spread, self.spread);
        super::set(&mut deploy.max_per_node, self.max_per_node);
        super::set(&mut deploy.offline.replace_after_millis, self.replace_after);
        super::set(&mut deploy.offline.takeover, self.takeover);
        super::set(&mut deploy.offline.on_return, self.on_return);
        super::set(&mut deploy.rebalance, self.rebalance);
        super::set(&mut deploy.standby_images, self.standby_images);
    }
}

/// What differs from the default.
fn said<T: Default + PartialEq>(value: T) -> Option<T> {
    Some(value).filter(|value| *value != T::default())
}

fn spread(deploy: &Field<'_>, problems: &mut Vec<FieldProblem>) -> Option<Spread> {
    let read = |field: &Field<'_>, problems: &mut Vec<FieldProblem>| {
        field.parsed(str::parse::<SpreadLabel>, problems)
    };
    let labels = list(deploy, "spread", read, problems)?;
    match Spread::new(labels) {
        Ok(spread) => Some(spread),
        Err(problem) => {
            problems.extend(deploy.get("spread").map(|field| field.problem(problem)));
            None
        }
    }
}
