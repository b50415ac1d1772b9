//! That a service is a singleton with a lease, in the words of `deploy_opts`.

use serde_json::{Map, Value, json};

use super::field::{Field, FieldProblem};
use super::service::list;
use crate::id::NodeName;
use crate::stack::{Deploy, Service, Singleton, Witnesses};

/// Which of it is to be set. It is set once: commands refuse to change it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseChange {
    pub singleton: Option<Singleton>,
    pub witnesses: Option<Witnesses>,
}

impl LeaseChange {
    /// Of the object `deploy_opts`.
    pub(super) const FIELDS: [&str; 2] = ["singleton", "witnesses"];

    pub(super) fn from(deploy: &Deploy) -> Self {
        Self {
            singleton: deploy.lease.as_ref().map(|_| Singleton::Lease),
            witnesses: deploy.lease.clone(),
        }
    }

    pub(super) fn read(deploy: &Field<'_>, problems: &mut Vec<FieldProblem>) -> Self {
        let singleton = deploy.get("singleton");
        Self {
            singleton: singleton.and_then(|field| field.parsed(str::parse, problems)),
            witnesses: witnesses(deploy, problems),
        }
    }

    pub(super) fn write(&self, deploy: &mut Map<String, Value>) {
        if let Some(singleton) = self.singleton {
            deploy.insert("singleton".to_owned(), json!(singleton));
        }
        if let Some(witnesses) = &self.witnesses {
            deploy.insert("witnesses".to_owned(), json!(witnesses));
        }
    }

    pub(super) fn set_on(self, deploy: &mut Deploy) {
        let is_meant = self.singleton.is_some() || deploy.lease.is_some();
        if is_meant && self.witnesses.is_some() {
            deploy.lease = self.witnesses;
        }
    }

    /// One of the two without the other, or more than one instance.
    pub(super) fn problems(
        &self,
        service: &Service,
        instances: Option<u32>,
    ) -> Option<FieldProblem> {
        let problem = |field, message: &str| Some(FieldProblem::new(field, message));
        match (&service.deploy.lease, instances) {
            (Some(_), Some(instances)) if instances > 1 => {
                problem("instances", "is one at most with `singleton: lease`")
            }
            (None, _) if self.singleton.is_some() => problem(
                "deploy_opts.singleton",
                "has nobody who grants the lease: name three or five nodes in `witnesses`",
            ),
            (None, _) if self.witnesses.is_some() => problem(
                "deploy_opts.witnesses",
                "grants a lease, and without `singleton: lease` there is none",
            ),
            (Some(_) | None, _) => None,
        }
    }
}

fn witnesses(deploy: &Field<'_>, problems: &mut Vec<FieldProblem>) -> Option<Witnesses> {
    let before = problems.len();
    let name = |field: &Field<'_>, problems: &mut Vec<FieldProblem>| {
        field.parsed(str::parse::<NodeName>, problems)
    };
    let names = list(deploy, "witnesses", name, problems)?;
    if problems.len() > before {
        return None;
    }
    Witnesses::new(names)
        .map_err(|problem| problems.extend(deploy.get("witnesses").map(|it| it.problem(problem))))
        .ok()
}
