//! Asks a node over its API: HTTP/1 on the unix socket, or on TCP with the administrator's token.
//!
//! One connection per request: the command line makes a handful of them. Every wait is bounded. Of several nodes one
//! is asked for everything; where it is lost, what only reads is asked of the next one, once of each, and that one is
//! asked from then on. What writes is never repeated: it may have been done. Not here: which nodes there are
//! ([`Target`]), printing.

mod asking;
mod error;
mod lines;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use hyper::Method;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use error::ApiError;

use self::asking::Asking;
use super::backend::ANSWERED_WITHIN;
use super::target::Target;

/// Reading answers from memory; only logs travel further, and the server bounds that at 10 s.
pub(crate) const READ_LIMIT: Duration = Duration::from_secs(15);
/// Longer than the server takes, so that its answer is heard.
const CHANGE_LIMIT: Duration = ANSWERED_WITHIN.saturating_add(Duration::from_secs(2));

/// Asks a node, or one of several.
#[derive(Clone, Debug)]
pub(crate) struct Client(Arc<Nodes>);

#[derive(Debug)]
struct Nodes {
    first: Target,
    /// Those that may be asked in its place, in their order.
    others: Vec<Target>,
    /// Which one is asked, from 0.
    asked: AtomicUsize,
    stays: AtomicBool,
}

impl Nodes {
    fn at(&self, place: usize) -> &Target {
        let other = place
            .checked_sub(1)
            .and_then(|other| self.others.get(other));
        other.unwrap_or(&self.first)
    }

    fn count(&self) -> usize {
        self.others.len() + 1
    }
}

/// What only reads, and whom it was asked.
struct Reading {
    place: usize,
    /// Further ones that may be asked.
    left: usize,
}

impl Client {
    pub(crate) fn new(target: Target) -> Self {
        Self::of_several(target, Vec::new())
    }

    /// One that is asked, and those that may be asked in its place.
    pub(crate) fn of_several(first: Target, others: Vec<Target>) -> Self {
        Self(Arc::new(Nodes {
            first,
            others,
            asked: AtomicUsize::new(0),
            stays: AtomicBool::new(false),
        }))
    }

    /// Whoever is asked.
    pub(crate) fn target(&self) -> &Target {
        self.0.at(self.0.asked.load(Ordering::Relaxed))
    }

    /// From now on no other node is asked in place of this one: it is this one that is meant.
    pub(crate) fn stay(&self) {
        self.0.stays.store(true, Ordering::Relaxed);
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        let mut reading = self.reading();
        loop {
            let asked = Asking(self.0.at(reading.place));
            let answer = asked
                .exchange(Method::GET, path, Bytes::new(), READ_LIMIT)
                .await;
            match answer {
                Err(problem) if self.goes_on(&mut reading, &problem) => (),
                answer => return answer.map_err(|problem| self.lost(&reading, problem)),
            }
        }
    }

    /// A body of `&serde_json::json!({})` is right where the path takes none.
    pub(crate) async fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ApiError> {
        self.write(Method::POST, path, encode(body)).await
    }

    pub(crate) async fn put<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ApiError> {
        self.write(Method::PUT, path, encode(body)).await
    }

    pub(crate) async fn patch<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ApiError> {
        self.write(Method::PATCH, path, encode(body)).await
    }

    pub(crate) async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        self.write(Method::DELETE, path, Bytes::new()).await
    }

    pub(crate) async fn delete_with<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ApiError> {
        self.write(Method::DELETE, path, encode(body)).await
    }

    /// Once, and of one node: where its answer is lost nobody knows what was done.
    async fn write<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, ApiError> {
        let asked = Asking(self.target());
        let answer = asked.exchange(method, path, body, CHANGE_LIMIT).await;
        answer.map_err(ApiError::of_a_write)
    }

    /// The answer as line-delimited JSON, until the server ends it or the stream is dropped.
    pub(crate) async fn follow<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<impl Stream<Item = Result<T, ApiError>> + use<T>, ApiError> {
        let mut reading = self.reading();
        loop {
            match Asking(self.0.at(reading.place)).open(path).await {
                Ok(body) => return Ok(lines::parsed(lines::split(body))),
                Err(problem) if self.goes_on(&mut reading, &problem) => (),
                Err(problem) => return Err(self.lost(&reading, problem)),
            }
        }
    }

    /// The connection, handed over to a protocol: what is written goes to whatever the path leads to. Until it is
    /// handed over nothing is done, so that another node may be asked.
    pub(crate) async fn carried(
        &self,
        path: &str,
        protocol: &'static str,
    ) -> Result<TokioIo<Upgraded>, ApiError> {
        let mut reading = self.reading();
        loop {
            match Asking(self.0.at(reading.place))
                .carried(path, protocol)
                .await
            {
                Err(problem) if self.goes_on(&mut reading, &problem) => (),
                carried => return carried.map_err(|problem| self.lost(&reading, problem)),
            }
        }
    }

    fn reading(&self) -> Reading {
        let stays = self.0.stays.load(Ordering::Relaxed);
        Reading {
            place: self.0.asked.load(Ordering::Relaxed),
            left: if stays { 0 } else { self.0.others.len() },
        }
    }

    /// Whether another node is asked in place of one that is lost.
    fn goes_on(&self, reading: &mut Reading, problem: &ApiError) -> bool {
        if !problem.is_lost() || reading.left == 0 {
            return false;
        }
        let next = (reading.place + 1) % self.0.count();
        // Somebody else may have gone on meanwhile.
        let went_on = self.0.asked.compare_exchange(
            reading.place,
            next,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        tracing::debug!(%problem, to = %self.0.at(next), first = went_on.is_ok(), "Another node is asked");
        reading.place = next;
        reading.left -= 1;
        true
    }

    /// Where all of several were asked, that is told.
    fn lost(&self, reading: &Reading, problem: ApiError) -> ApiError {
        let asked_all = reading.left == 0 && !self.0.stays.load(Ordering::Relaxed);
        match problem.is_lost() && asked_all && !self.0.others.is_empty() {
            true => problem.of_all(self.0.count()),
            false => problem,
        }
    }
}

fn encode<B: Serialize>(body: &B) -> Bytes {
    serde_json::to_vec(body)
        .expect("a request holds only text keys, text and numbers")
        .into()
}
