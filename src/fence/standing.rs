//! How the fences stand, for whoever is about to start something.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::{Moment, Tag};

/// Nothing is started that has less time left: starting takes a while, and what it is for takes longer.
const STARTS_WITH: Duration = Duration::from_secs(5);

/// Nobody looked at the fence for longer: whether it lives is not known.
const KNOWN_FOR: Duration = Duration::from_secs(4);

/// For a file to be written and a fence to be started.
const PATIENCE: Duration = Duration::from_secs(4);

/// What the daemon knows of its fences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Until when what carries a tag may run, as its file says.
    pub(crate) deadlines: BTreeMap<Tag, Moment>,
    /// When the fence process said last that it lives; else why it does not.
    pub(crate) process: Result<Moment, String>,
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            deadlines: BTreeMap::new(),
            process: Err("nobody started it".to_owned()),
        }
    }
}

impl Standing {
    /// Why nothing that carries the tag may be started.
    fn refusal(&self, tag: &Tag, now: Moment) -> Option<String> {
        match &self.process {
            Err(why) => Some(format!("the fence process does not run: {why}")),
            Ok(last) if now.since(*last) > KNOWN_FOR => {
                let silent = now.since(*last).as_secs();
                Some(format!(
                    "the fence process does not run: it was silent for {silent} s"
                ))
            }
            Ok(_) if self.left(tag, now) < STARTS_WITH => Some(OVER.to_owned()),
            Ok(_) => None,
        }
    }

    fn left(&self, tag: &Tag, now: Moment) -> Duration {
        let until = self.deadlines.get(tag);
        until.map_or(Duration::ZERO, |until| until.since(now))
    }
}

const OVER: &str = "the lease is over";

/// Whether something may be started, and whether it may still run.
#[derive(Clone, Debug)]
pub(crate) struct Fences(watch::Receiver<Standing>);

impl Fences {
    pub(crate) fn channel() -> (watch::Sender<Standing>, Self) {
        let (standing, known) = watch::channel(Standing::default());
        (standing, Self(known))
    }

    /// Where nothing is fenced, nothing that has to be is started.
    pub(crate) fn none() -> Self {
        Self::channel().1
    }

    /// Waits a little for what may only be on its way.
    ///
    /// # Errors
    /// Why nothing that carries the tag may be started.
    pub(crate) async fn may_start(&self, tag: &Tag) -> Result<(), String> {
        let mut known = self.0.clone();
        let may = known.wait_for(|known| known.refusal(tag, Moment::now()).is_none());
        // Where it takes too long, or the daemon stops, what is known counts.
        drop(timeout(PATIENCE, may).await);
        let refusal = self.0.borrow().refusal(tag, Moment::now());
        refusal.map_or(Ok(()), Err)
    }

    /// # Errors
    /// What carries the tag may run no longer.
    pub(crate) fn may_run(&self, tag: &Tag) -> Result<(), String> {
        let left = self.0.borrow().left(tag, Moment::now());
        if left.is_zero() {
            return Err(OVER.to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(digit: char) -> Tag {
        Tag::read(&digit.to_string().repeat(32)).unwrap()
    }

    fn standing(seconds_left: u64) -> Standing {
        let until = Moment::now().after(Duration::from_secs(seconds_left));
        Standing {
            deadlines: BTreeMap::from([(tag('1'), until)]),
            process: Ok(Moment::now()),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_fenced_and_has_time_left_may_start() {
        let (shown, fences) = Fences::channel();
        shown.send_replace(standing(20));
        assert_eq!(fences.may_start(&tag('1')).await, Ok(()));
        assert_eq!(fences.may_run(&tag('1')), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_hardly_any_time_left_may_not_start_but_run_on() {
        let (shown, fences) = Fences::channel();
        shown.send_replace(standing(4));
        let over = || Err("the lease is over".to_owned());
        assert_eq!(fences.may_start(&tag('1')).await, over());
        assert_eq!(fences.may_run(&tag('1')), Ok(()));
        shown.send_replace(standing(0));
        assert_eq!(fences.may_run(&tag('1')), over());
        shown.send_replace(standing(20));
        assert_eq!(fences.may_start(&tag('2')).await, over(), "of another tag");
        assert_eq!(fences.may_run(&tag('2')), over());
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_starts_while_no_fence_runs() {
        let (shown, fences) = Fences::channel();
        let mut known = standing(20);
        known.process = Err("no memory".to_owned());
        shown.send_replace(known.clone());
        let why = "the fence process does not run: no memory";
        assert_eq!(fences.may_start(&tag('1')).await, Err(why.to_owned()));
        let long_ago = Moment::now()
            .since_boot()
            .saturating_sub(Duration::from_secs(9));
        known.process = Ok(Moment::at(long_ago));
        shown.send_replace(known);
        let why = "the fence process does not run: it was silent for 9 s";
        assert_eq!(fences.may_start(&tag('1')).await, Err(why.to_owned()));
        let why = "the fence process does not run: nobody started it";
        assert_eq!(
            Fences::none().may_start(&tag('1')).await,
            Err(why.to_owned())
        );
    }

    #[tokio::test]
    async fn what_is_on_its_way_is_waited_for() {
        let (shown, fences) = Fences::channel();
        let asked = tokio::spawn(async move { fences.may_start(&tag('1')).await });
        tokio::task::yield_now().await;
        shown.send_replace(standing(20));
        assert_eq!(asked.await.unwrap(), Ok(()));
    }
}
