//! A zone that follows the view, and is built only when it may have changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Class, Zone, zone};
use crate::id::NodeId;
use crate::report::Report;
use crate::view::{Documents, View};

/// The newest zone, and what it was made of.
#[derive(Debug, Default)]
pub struct Zones {
    inputs: Option<Inputs>,
    zone: Arc<Zone>,
}

impl Zones {
    /// The zone of this view if it is another than the last one.
    pub fn follow(&mut self, view: &View) -> Option<Arc<Zone>> {
        if self
            .inputs
            .as_ref()
            .is_some_and(|inputs| inputs.are_of(view))
        {
            return None;
        }
        self.inputs = Some(Inputs::of(view));
        let zone = zone(view);
        if zone == *self.zone {
            return None;
        }
        self.zone = Arc::new(zone);
        Some(Arc::clone(&self.zone))
    }

    /// The zone of this view.
    pub fn of(&mut self, view: &View) -> Arc<Zone> {
        self.follow(view).unwrap_or_else(|| Arc::clone(&self.zone))
    }
}

/// Everything of a view that a zone depends on.
#[derive(Debug)]
struct Inputs {
    documents: Arc<Documents>,
    reports: BTreeMap<NodeId, Arc<Report>>,
    classes: BTreeMap<NodeId, Class>,
}

impl Inputs {
    fn of(view: &View) -> Self {
        Self {
            documents: Arc::clone(&view.documents),
            reports: view.reports.clone(),
            classes: classes(view).collect(),
        }
    }

    fn are_of(&self, view: &View) -> bool {
        let reports = self.reports.iter().zip(&view.reports);
        Arc::ptr_eq(&self.documents, &view.documents)
            && self.reports.len() == view.reports.len()
            && reports
                .into_iter()
                .all(|((old, was), (new, is))| old == new && say_the_same(was, is))
            && self
                .classes
                .iter()
                .map(|(node, class)| (*node, *class))
                .eq(classes(view))
    }
}

fn classes(view: &View) -> impl Iterator<Item = (NodeId, Class)> {
    let standings = view.standings.iter();
    standings.map(|(node, standing)| (*node, Class::of_node(standing.freshness)))
}

fn say_the_same(was: &Arc<Report>, is: &Arc<Report>) -> bool {
    Arc::ptr_eq(was, is) || (was.holds == is.holds && was.has_released() == is.has_released())
}
