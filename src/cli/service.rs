//! `service`: one image in numbered instances.

mod binding;
mod container;
mod definition;
mod deploys;
mod environment;
mod exec;
mod health_check;
mod lease;
mod links;
mod placing;
mod render;
mod rollout;
mod run;
mod runs;
mod schedule;
mod stats;

use clap::{Args, Subcommand};
use kontena_core::id::{NodeName, ServiceKey, ServiceName, StackName};
use kontena_core::stack::Service as CoreService;
use serde::Serialize;
use serde_json::json;

use self::definition::{Create, Update};
#[cfg(test)]
pub(super) use self::render::tests::example;
pub(super) use self::render::{name, ports, state_colour};
use super::confirm::confirm;
use super::deploy::{self, DeployJson, Wait};
use super::failure::Failure;
use super::logs::{self, LogOptions};
use super::monitor::{self, Interval};
use super::session::{Session, about};
use crate::api::paths;
use crate::api::types::deploy::ServiceDeploy;
use crate::api::types::instance::{Container, Containers};
use crate::api::types::service::{
    DeployRequest, Scale, Service as WireService, ServiceJson, Services,
};
use crate::api::types::{Changed, Saved, Time};

/// Services: one image in numbered instances
#[derive(Args, Debug)]
#[command(after_help = "Example:
  kontena service create -p 8080:80 --instances 2 web nginx
  kontena service deploy web

A service of a stack is named `STACK/SERVICE`.")]
pub(crate) struct Service {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Make a service; nothing runs until it is deployed
    #[command(after_help = "Example:
  kontena service create -p 8080:80 --instances 2 web nginx

Unless it is given otherwise: 1 instance, strategy `ha`, 0.8 of the instances healthy during a
deploy, the image's own stop signal, and 10s to stop.

What `--singleton lease` assumes: a lease holds for 20 s; the clocks of the
holder and the witnesses may run apart by at most 5 %, and the fence process
must run: `docs/design/leases.md`.")]
    Create(Box<Create>),
    /// Change a service: a stateless one that runs is rolled out at once, a stateful one by a deploy
    #[command(after_help = "Example:
  kontena service update --image nginx:1.27 web

What is not given stays as it is.")]
    Update(Box<Update>),
    /// Run the newest definition
    #[command(after_help = "Example:\n  kontena service deploy web")]
    Deploy {
        /// A service, as `web` or `shop/web`
        #[arg(value_name = "[STACK/]SERVICE")]
        name: ServiceKey,
        /// Replace instances that are right already
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        wait: Wait,
    },
    /// List the deploys of a service and what became of them
    #[command(after_help = "Example:\n  kontena service deploys web")]
    Deploys {
        /// A service, as `web` or `shop/web`
        #[arg(value_name = "[STACK/]SERVICE")]
        name: ServiceKey,
        /// Print ids only
        #[arg(short, long)]
        quiet: bool,
    },
    /// List what became of a job's slots: what runs, how runs ended, and what was missed
    #[command(after_help = "Example:\n  kontena service runs shop/backup")]
    Runs {
        /// A service, as `web` or `shop/web`
        #[arg(value_name = "[STACK/]SERVICE")]
        name: ServiceKey,
    },
    /// Stop a deploy: what is replaced stays, or goes back to what ran before
    ///
    /// A deploy whose first instances run and wait to be promoted is taken back, unless
    /// `--no-rollback` is given; any other stays as far as it got, unless `--rollback` is given.
    #[command(after_help = "Example:\n  kontena service abort --rollback web")]
    Abort {
        /// A service, as `web` or `shop/web`
        #[arg(value_name = "[STACK/]SERVICE")]
        name: ServiceKey,
        /// Go back to what ran before
        #[arg(long, overrides_with = "no_rollback")]
        rollback: bool,
        /// Leave what is replaced as it is
        #[arg(long)]
        no_rollback: bool,
    },
    /// Go on with a deploy whose first instances were tried (`deploy.canary`)
    #[command(after_help = "Example:\n  kontena service promote web")]
    Promote {
        /// A service, as `web` or `shop/web`
        #[arg(value_name = "[STACK/]SERVICE")]
        name: ServiceKey,
        #[command(flatten)]
        wait: Wait,
    },
    /// Run an instance of a stateful service on another node, without its data
    ///
    /// An instance of a stateful service runs on the node that has its data, and nowhere else: not while that node is
    /// off, and not while it is only cut off. This binds it to another node all the same. There it starts with empty
    /// volumes; restore a backup into them. Nothing is copied, and nothing is deleted: what the old node has stays
    /// there, and `kontena volume show` lists it.
    ///
    /// Where the old node runs and is only unreachable, there are two of it until they hear of each other. Then the
    /// old one is stopped at once, and what was written to it meanwhile stays in its volume, for you to decide about.
    #[command(
        after_help = "Example:\n  kontena service force-move --instance 1 --node node-3 --data-loss shop/db"
    )]
    ForceMove {
        /// A service, as `web` or `shop/web`
        #[arg(value_name = "[STACK/]SERVICE")]
        name: ServiceKey,
        /// The number of the instance
        #[arg(long, value_name = "NUMBER", default_value_t = 1)]
        instance: u32,
        /// Where it is to run
        #[arg(long, value_name = "NODE")]
        node: NodeName,
        /// I know that its data is not there
        #[arg(long)]
        data_loss: bool,
    },
    /// Change how many instances there are
    #[command(after_help = "Example:\n  kontena service scale web 5")]
    Scale {
        /// A service, as `web` or `shop/web`
        #[arg(value_name = "[STACK/]SERVICE")]
        name: ServiceKey,
        /// How many there shall be (for `daemon`: on each node)
        #[arg(value_parser = clap::value_parser!(u32).range(..=i64::from(CoreService::MAX_INSTANCES)))]
        instances: u32,
        #[command(flatten)]
        wait: Wait,
    },
    /// Stop services
    #[command(after_help = "Example:\n  kontena service stop web")]
    Stop(Names),
    /// Start stopped services
    #[command(after_help = "Example:\n  kontena service start web")]
    Start(Names),
    /// Restart the containers of a service, one node after another
    #[command(after_help = "Example:\n  kontena service restart web")]
    Restart(Names),
    /// Remove services, with their containers; volumes stay
    ///
    /// The volumes of a stateful service stay on their nodes, and no new service gets them. On a node,
    /// `docker volume ls --filter name=STACK.SERVICE-` (without a stack: `name=SERVICE-`) finds them, and
    /// `docker volume rm` removes them.
    #[command(
        visible_alias = "remove",
        after_help = "Example:\n  kontena service rm web"
    )]
    Rm {
        #[command(flatten)]
        names: Names,
        /// Kontena's: removes no instance here, and says what to do instead
        #[arg(long, value_name = "NUMBER", hide = true)]
        instance: Option<u32>,
        /// Do not ask
        #[arg(long)]
        force: bool,
    },
    /// List services
    #[command(
        visible_alias = "list",
        after_help = "Example:\n  kontena service ls --stack shop"
    )]
    Ls {
        /// Only services of this stack
        #[arg(long)]
        stack: Option<StackName>,
        /// Print names only
        #[arg(short, long)]
        quiet: bool,
    },
    /// Show a service and its instances
    #[command(after_help = "Example:\n  kontena service show shop/web")]
    Show {
        /// A service, as `web` or `shop/web`
        #[arg(value_name = "[STACK/]SERVICE")]
        name: ServiceKey,
    },
    /// Print the logs of a service
    #[command(after_help = "Example:\n  kontena service logs -f shop/web")]
    Logs {
        /// A service, as `web` or `shop/web`
        #[arg(value_name = "[STACK/]SERVICE")]
        name: ServiceKey,
        /// Only of this instance
        #[arg(short, long, value_name = "N")]
        instance: Option<u32>,
        #[command(flatten)]
        options: LogOptions,
    },
    /// Show what the instances of a service use: processors, memory, network
    ///
    /// Each is counted by its node's engine, over a second or two. 100 % is one processor.
    #[command(after_help = "Example:\n  kontena service stats shop/web")]
    Stats {
        /// A service, as `web` or `shop/web`
        #[arg(value_name = "[STACK/]SERVICE")]
        name: ServiceKey,
        /// Again and again
        #[arg(short, long)]
        tail: bool,
    },
    /// Show where the instances of a service run, again and again
    ///
    /// On a terminal each look takes the place of the one before; `--json` prints a line each time.
    #[command(after_help = "Example:\n  kontena service monitor --interval 5 shop/web")]
    Monitor {
        /// A service, as `web` or `shop/web`
        #[arg(value_name = "[STACK/]SERVICE")]
        name: ServiceKey,
        #[command(flatten)]
        interval: Interval,
    },
    /// Run a command in an instance, or in all
    ///
    /// Its exit code is this command's: 126 where there is no such program. With Ctrl-C, or where the connection
    /// breaks, the command is ended too.
    #[command(after_help = "Example:
  kontena service exec -it shop/web sh
  kontena service exec --all --shell shop/web 'nginx -t && nginx -s reload'

Options stand before the service; what follows it belongs to the command.")]
    Exec(exec::Exec),
    /// Run a command in a container of its own, made as an instance is
    ///
    /// It has the image, variables, volumes and network of the service as it is deployed, publishes no ports, and is
    /// removed once the command has ended, which it does with Ctrl-C, or where the connection breaks. The exit code is
    /// the command's: 127 where there is no such program. An entrypoint of the service or the image stays before it.
    #[command(after_help = "Example:
  kontena service run shop/web bin/migrate
  kontena service run -it --env LOG=debug shop/web sh
  kontena service run -i --instance 1 shop/db sh -c 'tar x -C /data' < data.tar

Options stand before the service; what follows it belongs to the command.")]
    Run(run::Run),
    Env(environment::Environment),
    /// Link a service to another, which it needs
    #[command(after_help = "Example:\n  kontena service link web shop/db")]
    Link {
        /// A service, as `web` or `shop/web`
        #[arg(value_name = "[STACK/]SERVICE")]
        name: ServiceKey,
        /// The service that it needs
        #[arg(value_name = "[STACK/]TARGET")]
        target: ServiceKey,
    },
    /// Take a link away
    #[command(after_help = "Example:\n  kontena service unlink web shop/db")]
    Unlink {
        /// A service, as `web` or `shop/web`
        #[arg(value_name = "[STACK/]SERVICE")]
        name: ServiceKey,
        /// The service that it needed
        #[arg(value_name = "[STACK/]TARGET")]
        target: ServiceKey,
    },
    /// List the containers of a service
    #[command(after_help = "Example:\n  kontena service containers shop/web")]
    Containers {
        /// A service, as `web` or `shop/web`
        #[arg(value_name = "[STACK/]SERVICE")]
        name: ServiceKey,
        /// Print names only
        #[arg(short, long)]
        quiet: bool,
    },
}

#[derive(Args, Debug)]
struct Names {
    /// Services, as `web` or `shop/web`
    #[arg(required = true, value_name = "[STACK/]SERVICE")]
    names: Vec<ServiceKey>,
}

pub(crate) async fn run(session: &Session, asked: Service) -> Result<(), Failure> {
    match asked.command {
        Command::Create(asked) => create(session, &asked).await,
        Command::Update(asked) => update(session, &asked).await,
        Command::Deploy { name, force, wait } => deploy(session, &name, force, wait).await,
        Command::Deploys { name, quiet } => deploys::list(session, &name, quiet).await,
        Command::Runs { name } => runs::list(session, &name).await,
        Command::Abort {
            name,
            rollback,
            no_rollback,
        } => {
            let wish = (rollback || no_rollback).then_some(rollback);
            deploys::abort(session, &name, wish).await
        }
        Command::Promote { name, wait } => {
            let said = format!("promoted the deploy of service `{name}`");
            change_and_wait(session, &name, "promote", &json!({}), wait, &said).await
        }
        Command::ForceMove {
            name,
            instance,
            node,
            data_loss,
        } => binding::force_move(session, &name, instance, &node, data_loss).await,
        Command::Scale {
            name,
            instances,
            wait,
        } => scale(session, &name, instances, wait).await,
        Command::Stop(names) => order(session, &names, "stop", "stopped").await,
        Command::Start(names) => order(session, &names, "start", "started").await,
        Command::Restart(names) => order(session, &names, "restart", "restarted").await,
        Command::Rm {
            names,
            instance,
            force,
        } => match instance {
            Some(number) => Err(no_removal(&names.names, number)),
            None => remove(session, &names, force).await,
        },
        Command::Ls { stack, quiet } => list(session, stack.as_ref(), quiet).await,
        Command::Show { name } => show(session, &name).await,
        Command::Logs {
            name,
            instance,
            options,
        } => {
            let grid = session.grid().await?;
            let path = format!("{}/container_logs", paths::service(&grid, &name));
            let instance = instance.map(|number| ("instance", number.to_string()));
            logs::print(session, &path, instance.into_iter().collect(), &options).await
        }
        Command::Stats { name, tail } => stats::show(session, &name, tail).await,
        Command::Monitor { name, interval } => monitor(session, &name, interval).await,
        Command::Exec(asked) => exec::exec(session, &asked).await,
        Command::Run(asked) => run::run(session, &asked).await,
        Command::Env(asked) => environment::run(session, asked).await,
        Command::Link { name, target } => links::link(session, &name, &target).await,
        Command::Unlink { name, target } => links::unlink(session, &name, &target).await,
        Command::Containers { name, quiet } => containers(session, &name, quiet).await,
    }
}

async fn create(session: &Session, asked: &Create) -> Result<(), Failure> {
    let change = asked.change()?;
    let grid = session.grid().await?;
    let body = change.write();
    let made: Changed<WireService> = session.client.post(&paths::services(&grid), &body).await?;
    let said = format!(
        "created service `{}`; `kontena service deploy {0}` runs it",
        asked.name()
    );
    session.print_change(&said, &made.saved, ServiceJson::from(made.object))
}

async fn update(session: &Session, asked: &Update) -> Result<(), Failure> {
    let change = asked.change()?;
    let grid = session.grid().await?;
    let path = paths::service(&grid, &asked.name);
    let changed: Changed<WireService> = session.client.put(&path, &change.write()).await?;
    let said = updated(&asked.name, &changed.object);
    session.print_change(&said, &changed.saved, ServiceJson::from(changed.object))
}

/// What follows of an update is the node's choice, and shows in what is deployed now.
fn updated(name: &ServiceKey, service: &WireService) -> String {
    let deployed = service.deployed.as_ref();
    match deployed.map(|deployed| deployed.revision_id == service.revision_id) {
        Some(true) => format!("updated service `{name}`; it is rolled out now"),
        Some(false) => {
            format!("updated service `{name}`; `kontena service deploy {name}` rolls it out")
        }
        None => format!("updated service `{name}`; `kontena service deploy {name}` runs it"),
    }
}

async fn deploy(
    session: &Session,
    name: &ServiceKey,
    force: bool,
    wait: Wait,
) -> Result<(), Failure> {
    let request = DeployRequest {
        force: force.then_some(true),
    };
    let said = format!("{} service `{name}`", wait.done());
    change_and_wait(session, name, "deploy", &request, wait, &said).await
}

async fn scale(
    session: &Session,
    name: &ServiceKey,
    instances: u32,
    wait: Wait,
) -> Result<(), Failure> {
    let said = format!("scaled service `{name}` to {instances}");
    change_and_wait(session, name, "scale", &Scale { instances }, wait, &said).await
}

async fn change_and_wait<B: Serialize>(
    session: &Session,
    name: &ServiceKey,
    what: &str,
    request: &B,
    wait: Wait,
    said: &str,
) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let path = paths::service(&grid, name);
    let begun: Changed<ServiceDeploy> = session
        .client
        .post(&format!("{path}/{what}"), request)
        .await?;
    session.warn_of(&begun.saved);
    let what = format!("service `{name}`");
    let deploy = match begun.object.halted {
        // It was halted before, which is no failure of what is asked now.
        true => begun.object,
        false => deploy::finish(session, &what, &path, begun.object, wait).await?,
    };
    session.output.talk(said);
    session.print_changed(&begun.saved, DeployJson::from(deploy))
}

async fn order(session: &Session, names: &Names, what: &str, done: &str) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let order_one = async |name: &ServiceKey| {
        let path = format!("{}/{what}", paths::service(&grid, name));
        let answer = session.client.post(&path, &json!({})).await;
        let changed: Changed<WireService> = answer.map_err(about(format!("service `{name}`")))?;
        session.tell(&format!("{done} service `{name}`"), &changed.saved);
        Ok((changed.saved, ServiceJson::from(changed.object)))
    };
    session.change_each(&names.names, order_one).await
}

async fn remove(session: &Session, names: &Names, force: bool) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let remove_one = async |name: &ServiceKey| {
        confirm(&session.output, "remove service", &name.to_string(), force)?;
        let answer = session.client.delete(&paths::service(&grid, name)).await;
        let saved: Saved = answer.map_err(about(format!("service `{name}`")))?;
        session.tell(&format!("removed service `{name}`"), &saved);
        Ok((saved, named(name)))
    };
    session.change_each(&names.names, remove_one).await
}

/// A master kept a record of each instance, which could be removed. Here instances follow from their service: one that
/// was taken away would be there again at once, and where it was.
fn no_removal(names: &[ServiceKey], number: u32) -> Failure {
    let name = names.iter().map(ToString::to_string).next();
    let name = name.unwrap_or_else(|| "SERVICE".to_owned());
    Failure::usage(format!(
        "instance {number} of `{name}` cannot be removed: it follows from the service, and no record is kept of it that could go"
    ))
    .hint(format!(
        "`kontena service scale {name} NUMBER` runs fewer, those with the highest numbers go; `kontena service restart {name}` \
         and `kontena service deploy --force {name}` make containers anew; `kontena node drain NODE` moves them \
         away; `kontena why {name}` says why one is where it is"
    ))
}

/// As every `--json` names a service.
fn named(key: &ServiceKey) -> serde_json::Value {
    let stack = Some(&key.stack).filter(|stack| !stack.is_null());
    json!({"name": key.service, "stack": stack})
}

async fn list(session: &Session, stack: Option<&StackName>, quiet: bool) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let mut path = paths::services(&grid);
    if let Some(stack) = stack {
        path.push_str(&format!("?stack={stack}"));
    }
    let Services { services } = session.client.get(&path).await?;
    let names: Vec<String> = services.iter().map(name).collect();
    let table = render::table(&services);
    let json: Vec<ServiceJson> = services.into_iter().map(ServiceJson::from).collect();
    session.print_list(quiet, &json, names.into_iter(), &table)
}

async fn show(session: &Session, name: &ServiceKey) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let service: WireService = session.client.get(&paths::service(&grid, name)).await?;
    let text = render::shown(&service);
    session.print_object(&ServiceJson::from(service), || text)
}

async fn monitor(session: &Session, name: &ServiceKey, interval: Interval) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let path = paths::service(&grid, name);
    let look = async || Ok(vec![session.client.get(&path).await?]);
    let only = |services: Vec<WireService>| services.into_iter().next().map(ServiceJson::from);
    monitor::watch(session, interval, look, only).await
}

async fn containers(session: &Session, name: &ServiceKey, quiet: bool) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let path = format!("{}/containers", paths::service(&grid, name));
    let Containers { containers } = session.client.get(&path).await?;
    let names: Vec<String> = containers
        .iter()
        .map(|container| container.name.clone())
        .collect();
    let table = render::containers(&containers);
    let json: Vec<ContainerJson> = containers.into_iter().map(ContainerJson::from).collect();
    session.print_list(quiet, &json, names.into_iter(), &table)
}

/// A container in `--json`.
#[derive(Serialize)]
struct ContainerJson {
    name: String,
    container_id: String,
    number: u32,
    node: String,
    state: String,
    health: String,
    image: Option<String>,
    ip: Option<String>,
    created_at: Option<Time>,
}

impl From<Container> for ContainerJson {
    fn from(container: Container) -> Self {
        Self {
            name: container.name,
            container_id: container.container_id,
            number: container.instance_number,
            node: container.node.name,
            state: container.status,
            health: container.health_status.status,
            image: container.image,
            ip: container.ip_address,
            created_at: container.created_at,
        }
    }
}

/// A service without a stack: what `create` makes.
fn stackless(text: &str) -> Result<ServiceName, String> {
    if text.contains('/') {
        return Err(
            "a service of a stack is made by `kontena stack install`; give a name without `/`"
                .to_owned(),
        );
    }
    text.parse()
        .map_err(|problem: kontena_core::id::InvalidId| problem.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_wants_to_remove_an_instance_is_told_what_there_is_instead() {
        let name: ServiceKey = "shop/web".parse().unwrap();
        let Failure::Usage(told) = no_removal(&[name], 2) else {
            panic!("it was asked for in the wrong way");
        };
        assert!(told.message.starts_with("instance 2 of `shop/web` "));
        assert!(
            told.hint
                .unwrap()
                .contains("`kontena service scale shop/web NUMBER`")
        );
    }

    #[test]
    fn an_update_says_whether_a_deploy_is_left_to_do() {
        let name: ServiceKey = "shop/web".parse().unwrap();
        let mut service = example("shop", "web");
        let deployed = service.deployed.as_mut().unwrap();
        deployed.revision_id = service.revision_id.clone();
        let rolled_out = updated(&name, &service);
        assert_eq!(
            rolled_out,
            "updated service `shop/web`; it is rolled out now"
        );
        service.revision_id = "another".to_owned();
        let waiting = updated(&name, &service);
        assert!(
            waiting.ends_with("`kontena service deploy shop/web` rolls it out"),
            "{waiting}"
        );
        service.deployed = None;
        let never = updated(&name, &service);
        assert!(
            never.ends_with("`kontena service deploy shop/web` runs it"),
            "{never}"
        );
    }
}
