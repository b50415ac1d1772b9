//! What the server needs of the daemon: the newest view, a way to give commands, and logs.
//!
//! The composition root fills it in; the server knows no other part of the daemon.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use kontena_core::command::{self, Accepted, Asked, Command, Reply};
use kontena_core::id::{InstanceId, NodeId, NodeName};
use kontena_core::keys::{Event, KeyRefusal, KeyReply, KeyWrite, Keys};
use kontena_core::network::plan::HostRoute;
use kontena_core::node::{CHANGE_ANSWERED_WITHIN, JOIN_ANSWERED_WITHIN, LEAVE_ANSWERED_WITHIN};
use kontena_core::stack::{FrozenImage, has_digest};
use kontena_core::time::WallTime;
use kontena_core::view::View;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};

use super::answer::Refused;
use super::dial::Dialer;
use super::routes::handover::Handovers;
use super::think::Thinker;
use super::types::membership::Phase;
use super::types::network::NodeNetwork;
use super::types::usage::Usage;
use crate::backup::Contents as GridContents;

/// A command, and where its answer goes.
pub(crate) type Order = (Command, oneshot::Sender<Reply>);

/// A write to the key-value store, and where its answer goes.
pub(crate) type KeyOrder = (KeyWrite, oneshot::Sender<KeyReply>);

/// What disks may take beside what a node waits for: slow ones, full ones that try for long, and those of
/// the commands before this one.
const DISKS: Duration = Duration::from_secs(10);
const CHANGE_LIMIT: Duration = CHANGE_ANSWERED_WITHIN.saturating_add(DISKS);
/// `join` dials another node, perhaps across the world, and reads the documents.
const JOIN_LIMIT: Duration = JOIN_ANSWERED_WITHIN.saturating_add(DISKS);
/// `leave` stops containers: no answer takes longer.
const LEAVE_LIMIT: Duration = LEAVE_ANSWERED_WITHIN.saturating_add(DISKS);
/// The node shows a change before or just after it answers.
const SHOW_LIMIT: Duration = Duration::from_secs(2);

/// What the images of a deploy mean is waited for so long.
const MEANING_LIMIT: Duration = Duration::from_secs(5);
/// For those who change a part of a definition at the same time.
const ALONE_LIMIT: Duration = Duration::from_secs(5);
const IMAGES_AT_ONCE: usize = 8;

/// The server answers every change within this, if only that it takes too long.
pub(super) const ANSWERED_WITHIN: Duration = LEAVE_LIMIT
    .saturating_add(SHOW_LIMIT)
    .saturating_add(MEANING_LIMIT);

/// Reads the host's routes.
pub(crate) type Routes = dyn Fn() -> anyhow::Result<Vec<HostRoute>> + Send + Sync;

/// Reads the daemon's monotonic clock.
pub(crate) type CoreNow = dyn Fn() -> kontena_core::time::Instant + Send + Sync;

/// Everything that the routes use.
pub(crate) struct Backend {
    pub(crate) view: watch::Receiver<Arc<View>>,
    /// Bounded: a node that has too much to do says so instead of queueing.
    pub(crate) commands: mpsc::Sender<Order>,
    /// The key-value store, as this node has it.
    pub(crate) keys: watch::Receiver<Arc<Keys>>,
    /// Bounded, as commands are.
    pub(crate) key_writes: mpsc::Sender<KeyOrder>,
    /// The time by the clock that ends keys.
    pub(crate) core_now: Box<CoreNow>,
    pub(crate) logs: Arc<dyn Logs>,
    pub(crate) networks: Arc<dyn Networks>,
    pub(crate) containers: Arc<dyn Containers>,
    pub(crate) volumes: Arc<dyn Volumes>,
    pub(crate) images: Arc<dyn Images>,
    pub(crate) backups: Arc<dyn Backups>,
    /// Where addresses lead on this host; nowhere, for a node that takes no part in the network.
    pub(crate) routes: Box<Routes>,
    pub(crate) local: watch::Receiver<Local>,
    pub(crate) dialer: Dialer,
    pub(crate) handovers: Handovers,
    /// Held from the reading of a definition to its change, by those who change a part of one.
    pub(crate) definitions: tokio::sync::Mutex<()>,
    pub(crate) thinker: Thinker,
    pub(crate) me: NodeId,
    /// What this node is called where nobody says otherwise: from the host's name.
    pub(crate) default_name: NodeName,
    /// 32 fresh random bytes from the operating system.
    pub(crate) entropy: fn() -> std::io::Result<[u8; 32]>,
    /// Of the daemon, as `kontena --version` prints it.
    pub(crate) version: &'static str,
}

/// What the node knows of itself beside the view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Local {
    pub(crate) phase: Phase,
    /// What is wrong, in words, with a hint: the operator reads it.
    pub(crate) problems: Vec<String>,
    /// Where this node can be reached, best first: `IP:PORT`.
    pub(crate) addresses: Vec<String>,
}

/// Reads what a backup is made of.
pub(crate) trait Backups: Send + Sync {
    /// An error says why the disk cannot be read.
    fn contents(&self) -> BoxFuture<'_, anyhow::Result<GridContents>>;
}

/// Asks nodes how their network is.
pub(crate) trait Networks: Send + Sync {
    /// Nodes are named by their ids in it. An error says why a node cannot be asked.
    fn of(&self, node: NodeId) -> BoxFuture<'_, Result<NodeNetwork, String>>;
}

/// Bytes in both directions.
pub(crate) trait Carried: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Carried for T {}

/// Reaches into containers, by Docker's ids of them, here and on other nodes. An error says why a node cannot be
/// asked, or what its engine says against it.
pub(crate) trait Containers: Send + Sync {
    /// A connection to a command that is still to be named: frames of [`super::types::exec`]. Dropping it ends the
    /// command.
    fn exec(
        &self,
        node: NodeId,
        container: String,
    ) -> BoxFuture<'_, Result<Box<dyn Carried>, String>>;

    /// A connection to the command of a one-off container that is still to be made: as of [`Self::exec`]. Dropping it
    /// ends the command, and the container goes.
    fn run(
        &self,
        node: NodeId,
        asked: OneOffAsked,
    ) -> BoxFuture<'_, Result<Box<dyn Carried>, String>>;

    /// What the engine says of a container, as it says it.
    fn inspect(&self, node: NodeId, container: String) -> BoxFuture<'_, Result<Value, String>>;

    /// What a container uses now.
    fn usage(&self, node: NodeId, container: String) -> BoxFuture<'_, Result<Usage, String>>;
}

/// What is wanted of a copy of a volume, by Docker's name of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Contents {
    /// All that is in it, as a tar.
    Read {
        #[serde(deserialize_with = "copy_name")]
        copy: String,
        /// Though somebody may write to it meanwhile.
        live: bool,
    },
    /// A tar in place of all that is in it.
    Write {
        #[serde(deserialize_with = "copy_name")]
        copy: String,
    },
    /// Nothing at all: the copy goes.
    Remove {
        #[serde(deserialize_with = "copy_name")]
        copy: String,
    },
}

/// It becomes part of a path that the engine is asked for.
fn copy_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let begins = name.starts_with(|first: char| first.is_ascii_alphanumeric());
    match begins && name.len() <= MAX_COPY_NAME && name.bytes().all(inner) {
        true => Ok(name),
        false => Err(D::Error::custom("it is no name of a Docker volume")),
    }
}

/// As long as a name of a file may be, which it is with Docker's own driver.
const MAX_COPY_NAME: usize = 255;

/// Reaches what is in copies of volumes, here and on other nodes. An error says why a node cannot be asked.
pub(crate) trait Volumes: Send + Sync {
    /// A connection over which it goes: frames of [`super::types::exec`]. Dropping it breaks it off.
    fn open(
        &self,
        node: NodeId,
        contents: Contents,
    ) -> BoxFuture<'_, Result<Box<dyn Carried>, String>>;
}

/// A one-off container that a node is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OneOffAsked {
    /// In whose place.
    pub(crate) instance: InstanceId,
    /// The deploy that the node has to know.
    pub(crate) generation: u64,
}

/// Asks this node's engine what names of images mean.
pub(crate) trait Images: Send + Sync {
    /// `None` where it cannot tell.
    fn meaning(&self, image: String) -> BoxFuture<'_, Option<FrozenImage>>;
}

/// Reads the logs of containers, here and on other nodes.
pub(crate) trait Logs: Send + Sync {
    /// The lines of one container, oldest first. An error ends the stream; dropping it stops the
    /// reading. Without `follow` it ends with the last line that there is.
    fn open(
        &self,
        source: LogSource,
        options: LogOptions,
    ) -> BoxStream<'static, Result<LogLine, String>>;
}

/// Whose log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LogSource {
    pub(crate) node: NodeId,
    /// Docker's id.
    pub(crate) container: String,
}

/// Which of its lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogOptions {
    /// Only the last so many of what is there.
    pub(crate) tail: Option<u32>,
    /// None that is older, by the clock of the container's node.
    pub(crate) since: Option<WallTime>,
    /// Go on with what is written later.
    pub(crate) follow: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogLine {
    /// Since the Unix epoch, as Docker stamped it.
    pub(crate) nanos: u64,
    pub(crate) stream: LogStream,
    /// Without its line break; bytes that are no UTF-8 replaced.
    pub(crate) text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogStream {
    Stdout,
    Stderr,
}

impl LogStream {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// Why nobody can say that a key is written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyFailure {
    #[error(transparent)]
    Refused(#[from] KeyRefusal),
    /// It may still be written.
    #[error("this node did not answer within {} s", .0.as_secs())]
    Late(Duration),
}

impl Backend {
    /// Gives a command and waits for its answer.
    pub(super) async fn carry_out(&self, command: Command) -> Result<Accepted, Refused> {
        let limit = limit_of(&command);
        let (answer, answered) = oneshot::channel();
        self.commands
            .try_send((command, answer))
            .map_err(|problem| match problem {
                mpsc::error::TrySendError::Full(_) => Refused::busy(),
                mpsc::error::TrySendError::Closed(_) => Refused::stopping(),
            })?;
        match timeout(limit, answered).await {
            Ok(Ok(reply)) => Ok(reply?),
            Ok(Err(_)) => Err(Refused::stopping()),
            Err(_) => Err(Refused::late(limit)),
        }
    }

    /// Writes a key and waits until it is on this node's disk.
    pub(crate) async fn write_key(&self, write: KeyWrite) -> Result<Arc<Event>, KeyFailure> {
        let (answer, answered) = oneshot::channel();
        self.key_writes
            .try_send((write, answer))
            .map_err(|problem| match problem {
                mpsc::error::TrySendError::Full(_) => KeyRefusal::Busy,
                mpsc::error::TrySendError::Closed(_) => KeyRefusal::Stopping,
            })?;
        match timeout(CHANGE_LIMIT, answered).await {
            Ok(Ok(reply)) => Ok(reply?),
            Ok(Err(_)) => Err(KeyRefusal::Stopping.into()),
            Err(_) => Err(KeyFailure::Late(CHANGE_LIMIT)),
        }
    }

    /// Alone with the definitions, for those who change a part of one.
    pub(super) async fn alone(&self) -> Result<tokio::sync::MutexGuard<'_, ()>, Refused> {
        let alone = timeout(ALONE_LIMIT, self.definitions.lock()).await;
        alone.map_err(|_| Refused::busy())
    }

    /// A command that deploys, with what its images mean, and the names of those that stay as they are written
    /// because that is not known.
    pub(super) async fn freeze(&self, command: Command) -> (Command, Vec<String>) {
        let view = Arc::clone(&self.view.borrow());
        let asked = command::images_of(&view, self.me, &command, WallTime(0));
        if asked.is_empty() {
            return (command, Vec::new());
        }
        let until = Instant::now() + MEANING_LIMIT;
        let answers = asked.into_iter().map(|asked| async {
            let meaning = timeout_at(until, self.images.meaning(asked.image.clone())).await;
            (asked, meaning.ok().flatten())
        });
        let answers: Vec<_> = stream::iter(answers)
            .buffered(IMAGES_AT_ONCE)
            .collect()
            .await;
        // What says its digest means that, whoever knows it, and what is not deployed stays as it was.
        let is_open = |asked: &Asked| asked.is_deployed && !has_digest(&asked.image);
        let unknown = answers
            .iter()
            .filter(|(asked, meaning)| meaning.is_none() && is_open(asked));
        let unknown = unknown.map(|(asked, _)| asked.image.clone()).collect();
        let known = answers.into_iter();
        let images = known.filter_map(|(asked, meaning)| Some((asked.image, meaning?)));
        let frozen = Command::Frozen {
            command: Box::new(command),
            images: images.collect(),
        };
        (frozen, unknown)
    }

    /// The newest view, once it shows a change that was saved, or after a while all the same: the
    /// change may have changed nothing, or may be overtaken by another one.
    pub(super) async fn view_with(
        &self,
        is_shown: impl Fn(&View) -> bool,
    ) -> Result<Arc<View>, Refused> {
        let mut view = self.view.clone();
        if let Ok(shown) = timeout(SHOW_LIMIT, view.wait_for(|view| is_shown(view))).await {
            return shown
                .map(|view| Arc::clone(&view))
                .map_err(|_| Refused::stopping());
        }
        tracing::debug!("A saved change does not show in the view");
        Ok(Arc::clone(&self.view.borrow()))
    }
}

fn limit_of(command: &Command) -> Duration {
    match command {
        Command::Join { .. } => JOIN_LIMIT,
        Command::Leave { .. } => LEAVE_LIMIT,
        Command::Init { .. }
        | Command::CreateJoinToken { .. }
        | Command::RevokeJoinToken(_)
        | Command::UpdateGrid { .. }
        | Command::AssumeDead(_)
        | Command::UpdateNode { .. }
        | Command::RemoveNode { .. }
        | Command::CreateService { .. }
        | Command::UpdateService { .. }
        | Command::DeployService { .. }
        | Command::AbortDeploy { .. }
        | Command::PromoteDeploy(_)
        | Command::ScaleService { .. }
        | Command::StopService(_)
        | Command::StartService(_)
        | Command::RestartService(_)
        | Command::RemoveService(_)
        | Command::InstallStack { .. }
        | Command::UpgradeStack { .. }
        | Command::RollbackStack { .. }
        | Command::ResolveStack { .. }
        | Command::DeployStack(_)
        | Command::StopStack(_)
        | Command::RestartStack(_)
        | Command::RemoveStack { .. }
        | Command::LabelStack { .. }
        | Command::OpenVpn { .. }
        | Command::CloseVpn(_)
        | Command::AddVpnUser { .. }
        | Command::LimitVpnUser { .. }
        | Command::RemoveVpnUser(_)
        | Command::AddRegistry { .. }
        | Command::RemoveRegistry(_)
        | Command::ShareRegistry { .. }
        | Command::ForceMove { .. }
        | Command::MoveInstance { .. }
        | Command::CancelMove(_)
        | Command::CreateVolume { .. }
        | Command::RemoveVolume(_)
        | Command::Frozen { .. } => CHANGE_LIMIT,
    }
}
