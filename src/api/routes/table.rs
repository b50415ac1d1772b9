//! Which path is answered by what, and what the document of the API says of it.
//!
//! A route is one line: its path, its handler, and a sentence by way of a kind (`reads`, `changes` …), which says how it
//! may fail. All else follows from the types of the handler.

use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::axum::routing::{delete_with, get_with, post_with, put_with};

use super::{
    about, backup, binding, commands, conflicts, containers, contents, deploys, grids, job_runs,
    keys, logs, membership, moves, network, nodes, one_offs, plan, proxy, registries, revisions,
    services, stacks, stats, volumes, vpn, why,
};
use crate::api::backend::Backend;
use crate::api::openapi::operation::{
    asks, changes, document, does, hands_over, joins, reads, runs, tells, works_out,
};

type Routes = ApiRouter<Arc<Backend>>;

/// The groups of the document.
pub(in crate::api) const NODE: &str = "node";
pub(in crate::api) const GRIDS: &str = "grids";
pub(in crate::api) const CONTAINERS: &str = "containers";
pub(in crate::api) const SERVICES: &str = "services";
pub(in crate::api) const STACKS: &str = "stacks";
pub(in crate::api) const VOLUMES: &str = "volumes";
pub(in crate::api) const REGISTRIES: &str = "registries";
pub(in crate::api) const KEYS: &str = "keys";
pub(in crate::api) const VPN: &str = "vpn";

/// Answered to anybody: whether and what is there.
pub(in crate::api) fn open() -> Routes {
    let routes = ApiRouter::new()
        .api_route("/", get_with(about::version, tells("The version")))
        .api_route("/v1/ping", get_with(about::version, tells("The version")))
        .api_route(
            "/v1/openapi.json",
            get_with(about::document, document("This document")),
        );
    of(NODE, routes)
}

/// Answered to whoever may command this node.
pub(in crate::api) fn protected() -> Routes {
    ApiRouter::new()
        .merge(of(NODE, of_this_node()))
        .merge(of(GRIDS, of_grids()))
        .merge(of(CONTAINERS, of_containers()))
        .merge(of(SERVICES, of_services()))
        .merge(of(SERVICES, of_deploys()))
        .merge(of(STACKS, of_stacks()))
        .merge(of(VOLUMES, of_volumes()))
        .merge(of(REGISTRIES, of_registries()))
        .merge(of(KEYS, of_keys()))
        .merge(of(VPN, of_vpn()))
}

/// All of these belong to one group.
fn of(group: &str, routes: Routes) -> Routes {
    routes.with_path_items(|item| item.tag(group))
}

fn of_keys() -> Routes {
    ApiRouter::new()
        .api_route(
            "/v1/etcd/{grid}",
            get_with(keys::store, reads("How full the key-value store is")),
        )
        .api_route(
            "/v1/etcd/{grid}/{*key}",
            get_with(keys::read, reads("A value, or what is in a directory"))
                .post_with(keys::set, changes("Set a value, or make a directory"))
                .delete_with(keys::remove, changes("Remove a key")),
        )
}

fn of_this_node() -> Routes {
    ApiRouter::new()
        .api_route(
            "/v1/status",
            get_with(about::status, tells("The state of the asked node")),
        )
        .api_route("/v1/user", get_with(about::user, tells("Who asks")))
        .api_route(
            "/v1/init",
            post_with(
                membership::init,
                changes("Make the node the first of a grid"),
            ),
        )
        .api_route(
            "/v1/join",
            post_with(
                membership::join,
                joins("Make the node a member of another node's grid"),
            ),
        )
        .api_route(
            "/v1/leave",
            post_with(membership::leave, changes("Leave the grid for good")),
        )
        .api_route(
            "/v1/join_tokens",
            get_with(membership::tokens, reads("Join tokens, the oldest first")).post_with(
                membership::create_token,
                changes("Make a join token, shown this once"),
            ),
        )
        .api_route(
            "/v1/join_tokens/{id}",
            delete_with(
                membership::revoke_token,
                changes("Admit nobody with a token any more"),
            ),
        )
}

fn of_grids() -> Routes {
    const NODE: &str = "/v1/nodes/{grid}/{node}";
    let under = |part: &str| format!("{NODE}/{part}");
    ApiRouter::new()
        .api_route(
            "/v1/grids",
            get_with(grids::list, tells("The grid of the node, or none")),
        )
        .api_route(
            "/v1/grids/{grid}",
            get_with(grids::show, reads("A grid"))
                .put_with(grids::update, changes("Change a grid: absent fields stay")),
        )
        .api_route(
            "/v1/grids/{grid}/backup",
            post_with(
                backup::take,
                reads("All that the node knows of the grid, and its identity, sealed for a recovery code"),
            ),
        )
        .api_route(
            "/v1/grids/{grid}/nodes",
            get_with(nodes::list, reads("The members, by number")),
        )
        .api_route(
            NODE,
            get_with(nodes::show, reads("A member"))
                .put_with(
                    nodes::update,
                    changes("Change a member: absent fields stay"),
                )
                .delete_with(nodes::remove, changes("Remove a member for good")),
        )
        .api_route(
            &under("health"),
            get_with(nodes::health, reads("Whether engine and disk work")),
        )
        .api_route(
            &under("network"),
            get_with(network::show, asks("How it reaches the others")),
        )
        .api_route(
            &under("departures"),
            get_with(nodes::departures, reads("What it has and is to give up")),
        )
        .api_route(
            &under("assume_dead"),
            post_with(
                nodes::assume_dead,
                changes("Wait for an absent node no more"),
            ),
        )
        .api_route(
            "/v1/grids/{grid}/plan",
            post_with(
                plan::plan,
                works_out("What would happen if. Nothing is done"),
            ),
        )
        .api_route(
            "/v1/grids/{grid}/container_logs",
            get_with(logs::of_grid, reads("Lines of all logs")),
        )
}

fn of_containers() -> Routes {
    const CONTAINER: &str = "/v1/containers/{grid}/{node}/{name}";
    let under = |part: &str| format!("{CONTAINER}/{part}");
    ApiRouter::new()
        .api_route(
            "/v1/containers/{grid}",
            get_with(containers::list, reads("Containers, by node")),
        )
        .api_route(
            &under("exec"),
            get_with(
                containers::exec,
                hands_over("A connection to a command", EXEC, &commands::PROTOCOLS),
            )
            .post_with(
                containers::run,
                runs("Run a command to its end, without input"),
            ),
        )
        .api_route(
            &under("inspect"),
            get_with(
                containers::inspect,
                asks("What the engine says of a container"),
            ),
        )
        .api_route(
            &under("logs"),
            get_with(logs::of_container, reads("Lines of a container's log")),
        )
}

/// For [`containers::exec`] and [`one_offs::connection`].
const EXEC: &str = "\
With `Upgrade: websocket` messages are texts of JSON. The client says `{\"cmd\": [\"ls\"]}` (and, ours, `\"env\": [\"A=b\"]`), then `{\"stdin\": \"…\"}` (`null` \
ends it) and `{\"tty_size\": {\"width\": 80, \"height\": 24}}`; it hears `{\"stream\": \"stdout\", \"chunk\": \"…\"}` and, last, \
`{\"exit\": 0}` or `{\"error\": \"…\"}`. With `Upgrade: kontena-exec`, *ours*, both sides speak in frames, byte for byte.";

fn of_services() -> Routes {
    let under = |part: &str| format!("{SERVICE}/{part}");
    ApiRouter::new()
        .api_route(
            "/v1/grids/{grid}/services",
            get_with(services::list, reads("Services, by name"))
                .post_with(services::create, changes("Make a service without a stack")),
        )
        .api_route(
            SERVICE,
            get_with(services::show, reads("A service, with its instances"))
                .put_with(
                    services::update,
                    changes("Change a service: absent fields stay"),
                )
                .delete_with(services::remove, changes("Remove a service")),
        )
        .api_route(
            &under("start"),
            post_with(services::start, changes("Let it run")),
        )
        .api_route(
            &under("stop"),
            post_with(services::stop, changes("Let it run no more")),
        )
        .api_route(
            &under("restart"),
            post_with(services::restart, changes("Restart its containers")),
        )
        .api_route(
            &under("run"),
            get_with(
                one_offs::connection,
                hands_over(
                    "A connection to a command in a container that is made for it",
                    EXEC,
                    &commands::PROTOCOLS,
                ),
            )
            .post_with(
                one_offs::to_the_end,
                runs("Run a command to its end, without input, in a container that is made for it"),
            ),
        )
        .api_route(
            &under("envs"),
            post_with(services::set_variable, changes("Set a variable")),
        )
        .api_route(
            &under("envs/{variable}"),
            delete_with(services::unset_variable, changes("Take a variable away")),
        )
        .api_route(
            &under("instances"),
            get_with(services::instances, reads("Its instances")),
        )
        .api_route(
            &under("containers"),
            get_with(services::containers, reads("Its containers")),
        )
        .api_route(
            &under("stats"),
            get_with(stats::of_service, reads("What its containers use now")),
        )
        .api_route(
            &under("container_logs"),
            get_with(logs::of_service, reads("Lines of its logs")),
        )
        .api_route(
            "/v1/why/{stack}/{service}",
            get_with(
                why::explain,
                works_out("Why its instances are where they are"),
            ),
        )
        .api_route(
            "/v1/proxy/{grid}/{stack}/{service}/{port}",
            get_with(
                proxy::connect,
                hands_over(
                    "A connection to a port of a service",
                    PROXY,
                    &proxy::PROTOCOLS,
                ),
            ),
        )
}

const SERVICE: &str = "/v1/services/{grid}/{stack}/{service}";
/// For [`proxy::connect`].
const PROXY: &str =
    "After the answer 101 the connection carries the bytes of one TCP connection to one instance.";

fn of_deploys() -> Routes {
    let under = |part: &str| format!("{SERVICE}/{part}");
    ApiRouter::new()
        .api_route(
            &under("deploy"),
            post_with(
                deploys::deploy_service,
                changes("Let the newest definition run"),
            ),
        )
        .api_route(
            &under("scale"),
            post_with(deploys::scale_service, changes("Run so many")),
        )
        .api_route(
            &under("abort"),
            post_with(deploys::abort, changes("Go on with no deploy")),
        )
        .api_route(
            &under("promote"),
            post_with(
                deploys::promote,
                changes("Let the others follow the first few"),
            ),
        )
        .api_route(
            &under("instances/{instance}/force_move"),
            post_with(
                binding::force_move,
                changes("Let a stateful instance run on another node, without its data"),
            ),
        )
        .api_route(
            &under("deploys"),
            get_with(deploys::list, reads("Deploys, the newest first")),
        )
        .api_route(
            &under("runs"),
            get_with(
                job_runs::list,
                reads("What became of a job's slots, the newest first"),
            ),
        )
        .api_route(
            &under("deploys/{deploy}"),
            get_with(
                deploys::of_service,
                reads("A deploy: over once it has `finished_at`"),
            ),
        )
}

fn of_stacks() -> Routes {
    const STACK: &str = "/v1/stacks/{grid}/{stack}";
    let under = |part: &str| format!("{STACK}/{part}");
    ApiRouter::new()
        .api_route(
            "/v1/grids/{grid}/stacks",
            get_with(stacks::list, reads("Stacks, by name")).post_with(
                stacks::install,
                changes("Install a stack: nothing runs until it is deployed"),
            ),
        )
        .api_route(
            STACK,
            get_with(stacks::show, reads("A stack"))
                .put_with(
                    stacks::upgrade,
                    changes("A new revision: what runs changes with a deploy"),
                )
                .patch_with(stacks::label, changes("Change its labels"))
                .delete_with(stacks::remove, changes("Remove a stack")),
        )
        .api_route(
            &under("deploy"),
            post_with(
                deploys::deploy_stack,
                changes("Let its newest revision run"),
            ),
        )
        .api_route(
            &under("deploys/{deploy}"),
            get_with(deploys::of_stack, reads("A deploy of a stack")),
        )
        .api_route(
            &under("revisions"),
            get_with(revisions::list, reads("Revisions, the newest first")),
        )
        .api_route(
            &under("diff"),
            get_with(revisions::compare, reads("What lies between two revisions")),
        )
        .api_route(
            &under("plan"),
            post_with(
                revisions::plan,
                reads("What an upgrade would do. Nothing is done"),
            ),
        )
        .api_route(
            &under("rollback"),
            post_with(
                revisions::rollback,
                changes("A new revision, like an older one"),
            ),
        )
        .api_route(
            &under("resolve"),
            post_with(
                conflicts::resolve,
                changes("Settle what a split left in doubt"),
            ),
        )
        .api_route(
            &under("resolve/plan"),
            post_with(
                conflicts::plan,
                reads("What settling it would do. Nothing is done"),
            ),
        )
        .api_route(
            &under("stop"),
            post_with(stacks::stop, changes("Let its services run no more")),
        )
        .api_route(
            &under("restart"),
            post_with(stacks::restart, changes("Restart its services' containers")),
        )
        .api_route(
            &under("container_logs"),
            get_with(logs::of_stack, reads("Lines of its logs")),
        )
}

fn of_registries() -> Routes {
    ApiRouter::new()
        .api_route(
            "/v1/grids/{grid}/external_registries",
            get_with(registries::list, reads("Registries, by name")).post_with(
                registries::add,
                changes("Give every node the credentials of a registry"),
            ),
        )
        .api_route(
            "/v1/external_registries/{grid}/{registry}",
            delete_with(
                registries::remove,
                changes("Forget the credentials of a registry"),
            ),
        )
}

fn of_volumes() -> Routes {
    ApiRouter::new()
        .api_route(
            "/v1/volumes/{grid}",
            get_with(volumes::list, reads("Volumes, by name"))
                .post_with(volumes::create, changes("Create a volume")),
        )
        .api_route(
            "/v1/volumes/{grid}/{volume}",
            get_with(
                volumes::show,
                reads("A volume, its copies, and who mounts it"),
            )
            .delete_with(
                volumes::remove,
                changes("Remove a volume and all its copies"),
            ),
        )
        .api_route(
            "/v1/volumes/{grid}/{volume}/backup",
            get_with(
                contents::backup,
                hands_over(
                    "A tar of what is in a copy of a volume",
                    BACKUP,
                    &contents::PROTOCOLS,
                ),
            ),
        )
        .api_route(
            "/v1/volumes/{grid}/{volume}/restore",
            get_with(
                contents::restore,
                hands_over(
                    "Replace what is in a copy of a volume",
                    RESTORE,
                    &contents::PROTOCOLS,
                ),
            ),
        )
        .api_route(
            "/v1/grids/{grid}/volume_copies",
            get_with(
                contents::list,
                reads("Copies of volumes on the nodes, by name"),
            ),
        )
        .api_route(
            "/v1/grids/{grid}/volume_copies/{node}/{copy}",
            delete_with(
                contents::remove,
                does("Remove a copy that is nobody's data any more"),
            ),
        )
        .api_route(
            "/v1/volumes/{grid}/{volume}/move",
            get_with(
                moves::show,
                reads("What was ordered last of moving an instance with this data"),
            )
            .post_with(
                moves::order,
                changes("Move a stateful instance to another node, with its data"),
            )
            .delete_with(moves::cancel, changes("Take such a move back")),
        )
}

/// For [`contents::backup`].
const BACKUP: &str = "\
With `Upgrade: kontena-exec` the connection speaks in the frames of commands in containers: the tar is the output, and it \
is whole only where the last frame says that it ended with 0.";

/// For [`contents::restore`].
const RESTORE: &str = "\
With `Upgrade: kontena-exec` the connection speaks in the frames of commands in containers: the tar is the input. Once its \
end was said, and all of it is on the disk, it takes the place of what was there, and the last frame says that it ended with \
0. Otherwise nothing changes.";

fn of_vpn() -> Routes {
    const GRID: &str = "/v1/vpn/{grid}";
    let under = |part: &str| format!("{GRID}/{part}");
    ApiRouter::new()
        .api_route(GRID, get_with(vpn::show, reads("Entries and users")))
        .api_route(
            &under("entries/{node}"),
            put_with(vpn::open, changes("Let users in at a node"))
                .delete_with(vpn::close, changes("Let nobody in there any more")),
        )
        .api_route(
            &under("users"),
            post_with(vpn::add, changes("Let a user in")),
        )
        .api_route(
            &under("users/{user}"),
            put_with(vpn::limit, changes("Say what a user may reach"))
                .delete_with(vpn::remove, changes("Shut a user out for good")),
        )
}
