//! That a service is a job, in the words of `deploy_opts`.

use serde_json::{Map, Value, json};

use super::field::{Field, FieldProblem};
use super::written::write_seconds;
use crate::schedule::{Cron, Zone};
use crate::stack::{Concurrency, Deploy, Schedule, grace_millis};

/// Which of it is to be set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobChange {
    /// `Some(None)`, in JSON the empty text, is a service that is kept running.
    pub schedule: Option<Option<Cron>>,
    pub time_zone: Option<Zone>,
    pub concurrency: Option<Concurrency>,
    /// In milliseconds.
    pub time_limit: Option<u64>,
    pub takeover: Option<bool>,
}

/// Of how a job runs.
const LIMITS: &str = "has to be from 1s to 24h";

impl JobChange {
    /// Of the object `deploy_opts`.
    pub(super) const FIELDS: [&str; 5] = [
        "schedule",
        "time_zone",
        "concurrency",
        "time_limit",
        "takeover",
    ];

    pub(super) fn from(deploy: &Deploy) -> Self {
        let Some(schedule) = &deploy.schedule else {
            return Self::default();
        };
        Self {
            schedule: Some(Some(schedule.cron.clone())),
            time_zone: Some(schedule.time_zone).filter(|zone| !zone.is_utc()),
            concurrency: Some(schedule.concurrency).filter(|it| !it.is_forbid()),
            time_limit: schedule.time_limit_millis,
            takeover: Some(schedule.takeover).filter(|takeover| *takeover),
        }
    }

    pub(super) fn read(deploy: &Field<'_>, problems: &mut Vec<FieldProblem>) -> Self {
        let cron = |text: &str| match text {
            "" => Ok(None),
            text => text.parse::<Cron>().map(Some),
        };
        Self {
            schedule: deploy
                .get("schedule")
                .and_then(|field| field.parsed(cron, problems)),
            time_zone: deploy
                .get("time_zone")
                .and_then(|field| field.parsed(str::parse, problems)),
            concurrency: deploy
                .get("concurrency")
                .and_then(|field| field.parsed(str::parse, problems)),
            time_limit: deploy
                .get("time_limit")
                .and_then(|field| time_limit(&field, problems)),
            takeover: deploy
                .get("takeover")
                .and_then(|field| field.boolean(problems)),
        }
    }

    pub(super) fn write(&self, deploy: &mut Map<String, Value>) {
        let mut put = |key: &str, value: Value| deploy.insert(key.to_owned(), value);
        if let Some(schedule) = &self.schedule {
            put(
                "schedule",
                json!(schedule.as_ref().map(Cron::to_string).unwrap_or_default()),
            );
        }
        if let Some(zone) = self.time_zone {
            put("time_zone", json!(zone));
        }
        if let Some(concurrency) = self.concurrency {
            put("concurrency", json!(concurrency));
        }
        if let Some(millis) = self.time_limit {
            put("time_limit", write_seconds(millis));
        }
        if let Some(takeover) = self.takeover {
            put("takeover", json!(takeover));
        }
    }

    pub(super) fn set_on(&self, deploy: &mut Deploy) {
        match (&self.schedule, &mut deploy.schedule) {
            (None, _) => {}
            (Some(None), _) => deploy.schedule = None,
            (Some(Some(cron)), Some(schedule)) => schedule.cron = cron.clone(),
            (Some(Some(cron)), none) => *none = Some(Schedule::new(cron.clone())),
        }
        if let Some(schedule) = &mut deploy.schedule {
            super::set(&mut schedule.time_zone, self.time_zone);
            super::set(&mut schedule.concurrency, self.concurrency);
            super::set(&mut schedule.takeover, self.takeover);
            if self.time_limit.is_some() {
                schedule.time_limit_millis = self.time_limit;
            }
        }
    }

    /// What is said of a job where there is none.
    pub(super) fn problems(&self, deploy: &Deploy) -> Vec<FieldProblem> {
        if deploy.schedule.is_some() {
            return Vec::new();
        }
        let said = [
            ("time_zone", self.time_zone.is_some()),
            ("concurrency", self.concurrency.is_some()),
            ("time_limit", self.time_limit.is_some()),
            ("takeover", self.takeover.is_some()),
        ];
        let said = said.into_iter().filter(|(_, is_said)| *is_said);
        let problem = |(key, _)| {
            let message = "says how a job runs, and without a `schedule` there is none";
            FieldProblem::new(format!("deploy_opts.{key}"), message)
        };
        said.map(problem).collect()
    }
}

/// Seconds as a number, or a duration as in a file.
fn time_limit(field: &Field<'_>, problems: &mut Vec<FieldProblem>) -> Option<u64> {
    let millis = field.parsed(grace_millis, problems)?;
    if (Schedule::MIN_LIMIT_MILLIS..=Schedule::MAX_LIMIT_MILLIS).contains(&millis) {
        return Some(millis);
    }
    problems.push(field.problem(LIMITS));
    None
}
