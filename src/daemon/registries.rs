//! External registries: what this node says to them, and who gives newcomers the passwords.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use kontena_core::command::Command;
use kontena_core::external_registry::{self, Lack, RegistryName};
use kontena_core::identity::SecretKey;
use kontena_core::view::View;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::api::backend::Order;
use crate::docker::{Login, Logins};
use crate::sealed;

/// Between two looks: so that a storm of views costs no more, and a command that was refused is not given at once again.
const PAUSE: Duration = Duration::from_secs(1);

/// What nothing came of is tried again, though nothing changes.
const AGAIN: Duration = Duration::from_secs(10);

/// The credentials of the newest view, opened when they are needed.
pub(super) struct GridLogins {
    pub(super) views: watch::Receiver<Arc<View>>,
    pub(super) identity: SecretKey,
}

impl Logins for GridLogins {
    fn login(&self, image: &str) -> Result<Option<Login>, String> {
        let Some(name) = RegistryName::of_image(image) else {
            return Ok(None);
        };
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
    let mut waiting = Waiting::default();
    loop {
        let view = Arc::clone(&views.borrow_and_update());
        let lacks = external_registry::lacks(&view, identity.node_id());
        for lack in waiting.due(lacks, Instant::now()) {
            let name = lack.registry.clone();
            if let Err(problem) = give(&view, &orders, &identity, lack).await {
                tracing::warn!(registry = %name, "Nobody was given the password of a registry: {problem:#}");
            }
        }
        tokio::time::sleep(PAUSE).await;
        let again = tokio::time::timeout(AGAIN, views.changed()).await;
        if matches!(again, Ok(Err(_))) {
            return;
        }
    }
}

/// Since when it is known that somebody lacks the key of a registry.
#[derive(Debug, Default)]
struct Waiting(BTreeMap<RegistryName, Instant>);

impl Waiting {
    /// Those that others were given the time for.
    fn due(&mut self, lacks: Vec<Lack>, now: Instant) -> Vec<Lack> {
        self.0
            .retain(|name, _| lacks.iter().any(|lack| lack.registry == *name));
        let is_due = |lack: &Lack| {
            let since = self.0.entry(lack.registry.clone()).or_insert(now);
            now.duration_since(*since) >= lack.left_for
        };
        lacks.into_iter().filter(is_due).collect()
    }
}

async fn give(
    view: &View,
    orders: &mpsc::Sender<Order>,
    identity: &SecretKey,
    lack: Lack,
) -> anyhow::Result<()> {
    let name = lack.registry;
    let registry = view.documents.registries.get(&name);
    let own = registry.and_then(|registry| registry.keys.get(&identity.node_id()));
    let own = own.context("this node has no key")?;
    let keys = sealed::share(identity, &name.secret(), own, lack.nodes)?;
    let command = Command::ShareRegistry { name, keys };
    let (answer, answered) = oneshot::channel();
    let sent = orders.send((command, answer)).await;
    sent.ok().context("the node takes no more commands")?;
    answered.await.context("the node is stopping")??;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kontena_core::command::Refusal;
    use kontena_core::external_registry::{Account, Registry};
    use kontena_core::id::NodeId;
    use kontena_core::time::WallTime;
    use kontena_core::view::{Availability, Documents, Freshness, Member, Standing};

    use super::*;

    fn identity(seed: u8) -> SecretKey {
        SecretKey::from_seed([seed; 32])
    }

    fn node(seed: u8) -> NodeId {
        identity(seed).node_id()
    }

    fn member(number: u8) -> Member {
        Member {
            name: format!("n{number}").parse().unwrap(),
            sponsor: node(1),
            joined: WallTime(0),
            labels: Vec::new(),
            availability: Availability::Active,
            number: number.into(),
            addresses: Vec::new(),
            subnet: None,
        }
    }

    /// Two members, the first of which can open the passwords of these registries.
    fn view(registries: &[&str]) -> View {
        let registry = |name: &&str| {
            let name: RegistryName = name.parse().unwrap();
            let (password, keys) = sealed::seal("s3cret", &name.secret(), [node(1)]).unwrap();
            let account = Account {
                url: format!("https://{name}"),
                username: "me".to_owned(),
                email: None,
                password,
            };
            let since = WallTime(0);
            let registry = Registry {
                account,
                since,
                keys,
            };
            (name, Arc::new(registry))
        };
        let documents = Documents {
            roster: (1..=2)
                .map(|number| (node(number), member(number)))
                .collect(),
            registries: registries.iter().map(registry).collect(),
            ..Documents::default()
        };
        let standing = Standing {
            freshness: Freshness::Fresh,
            since: WallTime(0),
        };
        View {
            documents: Arc::new(documents),
            standings: (1..=2).map(|number| (node(number), standing)).collect(),
            ..View::default()
        }
    }

    fn logins(seed: u8, view: View) -> GridLogins {
        let (_, views) = watch::channel(Arc::new(view));
        GridLogins {
            views,
            identity: identity(seed),
        }
    }

    #[test]
    fn a_node_with_a_key_is_somebody_to_that_registry_alone() {
        let logins = logins(1, view(&["quay.io"]));
        let login = logins.login("quay.io/me/app:1").unwrap().unwrap();
        assert_eq!((&*login.username, &*login.password), ("me", "s3cret"));
        assert_eq!(login.registry, "quay.io");
        assert!(!format!("{login:?}").contains("s3cret"));
        assert_eq!(logins.login("redis:7"), Ok(None));
        assert_eq!(logins.login("gcr.io/app"), Ok(None));
        assert_eq!(logins.login("host:0/app"), Ok(None));
    }

    #[test]
    fn a_node_without_a_key_says_what_it_lacks() {
        let problem = logins(2, view(&["quay.io"]))
            .login("quay.io/app")
            .unwrap_err();
        assert!(
            problem.contains("has not been given the password of `quay.io`"),
            "{problem}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_lacks_a_key_is_given_it_though_the_node_was_busy_at_first() {
        let (_views, seen) = watch::channel(Arc::new(view(&["gcr.io", "quay.io"])));
        let (orders, mut taken) = mpsc::channel(8);
        let task = tokio::spawn(share(seen, orders, identity(1)));
        let mut given = BTreeSet::new();
        for turn in 0..4 {
            let (command, answer) = taken.recv().await.unwrap();
            let Command::ShareRegistry { name, keys } = command else {
                panic!("{command:?}");
            };
            assert_eq!(keys.keys().collect::<Vec<_>>(), [&node(2)]);
            given.insert(name);
            // Nothing comes of the first one, and of the other one that follows.
            let reply = match turn {
                0 => Err(Refusal::Busy),
                _ => Err(Refusal::Stopping),
            };
            answer.send(reply).unwrap();
        }
        assert_eq!(
            given.len(),
            2,
            "a registry that fails keeps no other one waiting"
        );
        task.abort();
    }

    #[test]
    fn others_are_given_their_time_from_when_the_lack_was_seen() {
        let lack = |left_for| Lack {
            registry: "quay.io".parse().unwrap(),
            nodes: vec![node(2)],
            left_for: Duration::from_secs(left_for),
        };
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut waiting = Waiting::default();
        assert!(waiting.due(vec![lack(10)], at(0)).is_empty());
        assert!(waiting.due(vec![lack(10)], at(9)).is_empty());
        assert_eq!(waiting.due(vec![lack(10)], at(10)), [lack(10)]);
        assert!(waiting.due(Vec::new(), at(11)).is_empty());
        assert!(
            waiting.due(vec![lack(10)], at(12)).is_empty(),
            "another lack"
        );
    }
}
