//! What people do: commands, and what they wait for.

use std::collections::BTreeMap;
use std::time::Duration;

use kontena_core::command::{Command, CommandId, Reply, images_of};
use kontena_core::id::NodeName;
use kontena_core::keys::KeyWrite;
use kontena_core::network::plan::AddressPlan;
use kontena_core::node::Input;
use kontena_core::stack::{FrozenImage, Platforms};
use kontena_core::time::WallTime;

use super::World;
use crate::chance::Chance;
use crate::fact::Fact;
use crate::host::Host;
use crate::queue::What;

impl World {
    /// Gives every host an image.
    pub fn load_image(&mut self, image: &str) {
        for host in &mut self.hosts {
            host.engine.images.insert(image.to_owned());
        }
    }

    /// Lets every host pull an image.
    pub fn publish_image(&mut self, image: &str) {
        for host in &mut self.hosts {
            host.engine.registry.insert(image.to_owned());
        }
    }

    /// Says what an image of the registry was built for.
    pub fn build_for(&mut self, image: &str, platforms: &[&str]) {
        let platforms: Vec<String> = platforms.iter().map(ToString::to_string).collect();
        let platforms = Platforms::from(platforms);
        for host in &mut self.hosts {
            host.engine
                .built_for
                .insert(image.to_owned(), platforms.clone());
        }
    }

    /// Gives a command to a host's node and waits for the answer.
    pub fn command(&mut self, host: usize, command: Command) -> Reply {
        let id = self.give(host, command);
        let deadline = self.now + Duration::from_secs(60);
        while self.now < deadline {
            if let Some(reply) = self.replies.remove(&id) {
                return reply;
            }
            self.step();
        }
        panic!("no answer within 60 s");
    }

    /// Gives a command without waiting.
    pub fn give(&mut self, host: usize, command: Command) -> CommandId {
        self.commands += 1;
        let id = CommandId(self.commands);
        if let Command::CreateService { key, service, .. } = &command {
            self.created.insert(key.clone(), service.image.clone());
        }
        if let Command::ForceMove { instance, .. } = &command {
            self.forced.insert(instance.clone());
        }
        let command = self.frozen(host, command);
        self.tell(host, || Fact::Given(id));
        // A loop that stands still reads it when it goes on.
        let from = self.hosts[host].stalled_until.max(self.now);
        match from > self.now {
            true => {
                let command = Box::new(command);
                self.at(from, host, What::Command { id, command });
            }
            false => self.handle(host, Input::Command { id, command }),
        }
        id
    }

    /// Writes a key on a host, without waiting.
    pub fn write_key(&mut self, host: usize, write: KeyWrite) {
        self.commands += 1;
        let id = CommandId(self.commands);
        self.tell(host, || Fact::KeyWritten {
            id,
            write: write.clone(),
        });
        self.handle(host, Input::WriteKey { id, write });
    }

    /// As the API gives a command that deploys: with what the host's engine says of its images.
    fn frozen(&self, host: usize, command: Command) -> Command {
        let Host { view, engine, .. } = &self.hosts[host];
        let images = images_of(view, self.id(host), &command, WallTime(0));
        let created = self.created_by(&command).filter(|_| images.is_empty());
        let images = images.into_iter().map(|asked| asked.image).chain(created);
        let meanings = images.filter_map(|image| {
            let meaning = engine.meaning(&image)?;
            Some((image, meaning))
        });
        let images: BTreeMap<String, FrozenImage> = meanings.collect();
        match images.is_empty() {
            true => command,
            false => Command::Frozen {
                command: Box::new(command),
                images,
            },
        }
    }

    /// The image of a service that is deployed in one breath with its creation, which no view shows yet.
    fn created_by(&self, command: &Command) -> Option<String> {
        let Command::DeployService { key, .. } = command else {
            return None;
        };
        self.created.get(key).cloned()
    }

    pub fn reply(&mut self, id: CommandId) -> Option<Reply> {
        self.replies.remove(&id)
    }

    /// A grid of all hosts.
    pub fn form_grid(&mut self) {
        self.form_grid_of(self.hosts.len());
    }

    /// A grid of the first hosts; gives the join token.
    pub fn form_grid_of(&mut self, hosts: usize) -> String {
        let token = self.init(0);
        for host in 1..hosts {
            self.join(host, 0, &token)
                .expect("a fresh host with a good token is admitted");
        }
        token
    }

    /// Makes a host the first of a grid; gives the join token.
    pub fn init(&mut self, host: usize) -> String {
        let mut chance = Chance::new(self.seed, "grid");
        let command = Command::Init {
            grid: "demo".parse().expect("a label"),
            name: Self::name(host),
            labels: Vec::new(),
            plan: AddressPlan::default(),
            routes: Vec::new(),
            grid_seed: chance.bytes(),
            token_seed: chance.bytes(),
            admin_token: chance.bytes(),
        };
        let accepted = self
            .command(host, command)
            .expect("a fresh node can be the first");
        accepted.join_token.expect("init gives a token")
    }

    pub fn join(&mut self, host: usize, sponsor: usize, token: &str) -> Reply {
        self.command(host, self.join_command(host, sponsor, token))
    }

    /// What a host is told to join by way of another.
    pub fn join_command(&self, host: usize, sponsor: usize, token: &str) -> Command {
        Command::Join {
            address: self.hosts[sponsor].address.clone(),
            token: token.to_owned(),
            name: Self::name(host),
            labels: Vec::new(),
            routes: Vec::new(),
        }
    }

    pub fn name(host: usize) -> NodeName {
        format!("n{}", host + 1).parse().expect("a label")
    }
}
