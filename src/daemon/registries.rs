//! External registries: what this node says to them, and who gives newcomers the passwords.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use kontena_core::command::Command;
use kontena_core::external_registry::{self, RegistryName};
use kontena_core::id::NodeId;
use kontena_core::identity::SecretKey;
use kontena_core::view::View;
use tokio::sync::{mpsc, oneshot, watch};

use crate::api::backend::Order;
use crate::docker::{Login, Logins};
use crate::sealed;

/// Between two looks: so that a storm of views costs no more, and a command that was refused is not given at once again.
const PAUSE: Duration = Duration::from_secs(1);

/// The credentials of the newest view, opened when they are needed.
pub(super) struct GridLogins {
    pub(super) views: watch::Receiver<Arc<View>>,
    pub(super) identity: SecretKey,
}

impl Logins for GridLogins {
    fn login(&self, image: &str) -> Result<Option<Login>, String> {
        let name = RegistryName::of_image(image);
        let view = Arc::clone(&self.views.borrow());
        let Some(registry) = view.documents.registries.get(&name) else {
            return Ok(None);
        };
        let key = registry.keys.get(&self.identity.node_id());
        let key = key.ok_or_else(|| {
            format!(
                "this node has not been given the password of `{name}` yet by those that have it"
            )
        })?;
        let sealed = &registry.account.password;
        let password = sealed::open(&self.identity, &name.secret(), sealed, key)
            .map_err(|problem| format!("the password of `{name}` cannot be opened: {problem}"))?;
        Ok(Some(Login {
            username: registry.account.username.clone(),
            password,
            email: registry.account.email.clone(),
            registry: name.to_string(),
        }))
    }
}

/// Gives those that lack it the key of a password, for as long as the node lives.
pub(super) async fn share(
    mut views: watch::Receiver<Arc<View>>,
    orders: mpsc::Sender<Order>,
    identity: SecretKey,
) {
    let me = identity.node_id();
    while views.changed().await.is_ok() {
        let view = Arc::clone(&views.borrow_and_update());
        if let Some((name, nodes)) = external_registry::due(&view, me)
            && let Err(problem) = give(&view, &orders, &identity, &name, nodes).await
        {
            tracing::warn!(registry = %name, "Nobody was given the password of a registry: {problem:#}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn give(
    view: &View,
    orders: &mpsc::Sender<Order>,
    identity: &SecretKey,
    name: &RegistryName,
    nodes: Vec<NodeId>,
) -> anyhow::Result<()> {
    let registry = view.documents.registries.get(name);
    let own = registry.and_then(|registry| registry.keys.get(&identity.node_id()));
    let own = own.context("this node has no key")?;
    let keys = sealed::share(identity, &name.secret(), own, nodes)?;
    let command = Command::ShareRegistry {
        name: name.clone(),
        keys,
    };
    let (answer, answered) = oneshot::channel();
    let sent = orders.send((command, answer)).await;
    sent.ok().context("the node takes no more commands")?;
    answered.await.context("the node is stopping")??;
    Ok(())
}
