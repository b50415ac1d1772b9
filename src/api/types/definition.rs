//! The bodies that define services and stacks, for the document of the API alone.
//!
//! They are read by [`kontena_core::manifest::compiled`], which tells of every field what is wrong with it, and takes
//! what Kontena's own clients send: numbers as texts, texts as numbers, `null` for what is not said. What lies between
//! fields (a port published twice, a link to a service that is not there …) no schema can say: that is 422 too.
//! Not here: reading.
#![expect(
    dead_code,
    reason = "these types have nothing but schemas: values are read by the core"
)]

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use super::form::{
    AffinityText, AssignmentText, ImageText, Name, SpreadText, StackLabelText, VolumesFromText,
};

/// A name, or the number that is written like it.
struct Word<Text>(Text);

impl<Text: JsonSchema> JsonSchema for Word<Text> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Word_{}", Text::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let text = generator.subschema_for::<Text>();
        json_schema!({"anyOf": [text, {"type": "number", "minimum": 0}]})
    }
}

/// A whole number, or a text of its digits.
struct Whole<const LEAST: u32, const MOST: u32>;

impl<const LEAST: u32, const MOST: u32> JsonSchema for Whole<LEAST, MOST> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Whole_{LEAST}_{MOST}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [
            {"type": "integer", "minimum": LEAST, "maximum": MOST},
            {"type": "string", "pattern": "^\\+?[0-9]{1,9}$"},
        ]})
    }
}

/// What Kontena has and this version does not: nothing has to be said of it.
struct Nothing;

impl JsonSchema for Nothing {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Nothing".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"enum": [null, false, "", [], {}]})
    }
}

/// Without a NUL character.
struct Plain;

impl JsonSchema for Plain {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Plain".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[^\\x00]*$"})
    }
}

/// A text, or the number that is written like it.
struct WordOrNumber;

impl JsonSchema for WordOrNumber {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "WordOrNumber".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["string", "number"], "pattern": "^[^\\x00]*$"})
    }
}

type Count = Whole<0, 10_000>;
type Port = Whole<1, 65_535>;
/// A day.
type Seconds = Whole<0, 86_400>;

/// The fields of a service that are to be set; an absent one stays as it is, or is as ever.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct ServiceDefinition {
    /// Needed where a service is created.
    name: Option<Word<Name>>,
    /// Needed where a service is created.
    image: Option<Word<ImageText>>,
    /// Whether its instances stay with their data. Cannot be changed.
    stateful: Option<bool>,
    /// The empty text is the image's own.
    entrypoint: Option<Plain>,
    #[schemars(length(max = 1_000))]
    cmd: Option<Vec<Plain>>,
    /// Each name once.
    #[schemars(length(max = 1_000))]
    env: Option<Vec<AssignmentText>>,
    #[schemars(length(max = 1_000))]
    ports: Option<Vec<PublishedPort>>,
    #[schemars(length(max = 1_000))]
    links: Option<Vec<ServiceLink>>,
    /// `/PATH`, or `/HOST-PATH:/PATH[:FLAGS]`.
    #[schemars(length(max = 1_000))]
    volumes: Option<Vec<WordOrNumber>>,
    /// Of the same stack: `SERVICE-N`, or `SERVICE-%s` for the instance of the same number. An instance runs where that
    /// one does.
    #[schemars(length(max = 1_000))]
    volumes_from: Option<Vec<VolumesFromText>>,
    #[schemars(length(max = 1_000))]
    affinity: Option<Vec<AffinityText>>,
    /// How many; per node with the strategy `daemon`.
    instances: Option<Count>,
    /// Kontena's older name of `instances`: not looked at where that is there.
    container_count: Option<Value>,
    strategy: Option<Strategy>,
    deploy_opts: Option<DeployDefinition>,
    /// `SIGTERM`, `SIGRTMIN+3` or a number; the empty text is the image's own.
    stop_signal: Option<WordOrNumber>,
    /// Seconds, or `1m30s`.
    stop_grace_period: Option<WordOrNumber>,
    /// `bridge` or `host`.
    net: Option<NetworkMode>,
    /// Of its containers: a list of `KEY=VALUE`, or an object.
    labels: Option<Labels>,
    health_check: Option<HealthCheckDefinition>,
    hooks: Option<HooksDefinition>,
    /// Cores, 0 for as many as there are.
    cpus: Option<WordOrNumber>,
    cpu_shares: Option<Whole<0, 1_024>>,
    /// Bytes, or `512m`; 0 for no limit.
    memory: Option<WordOrNumber>,
    /// Memory and swap together: no less than `memory`, which it needs.
    memory_swap: Option<WordOrNumber>,
    shm_size: Option<WordOrNumber>,
    /// `USER` or `USER:GROUP`; the empty text is the image's own.
    user: Option<WordOrNumber>,
    privileged: Option<bool>,
    read_only: Option<bool>,
    /// Such as `NET_ADMIN`.
    #[schemars(length(max = 1_000))]
    cap_add: Option<Vec<Plain>>,
    #[schemars(length(max = 1_000))]
    cap_drop: Option<Vec<Plain>>,
    /// `host`, or the empty text.
    pid: Option<PidMode>,
    /// The empty text is the engine's own.
    log_driver: Option<WordOrNumber>,
    log_opts: Option<BTreeMap<String, Scalar>>,
    build: Option<Nothing>,
    certificates: Option<Nothing>,
    external_links: Option<Nothing>,
    secrets: Option<Nothing>,
}

/// What is set of a service that was not there before.
#[derive(JsonSchema)]
#[schemars(extend("required" = ["name", "image"]))]
pub(crate) struct NewService(ServiceDefinition);

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum Strategy {
    Ha,
    Daemon,
    Random,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum NetworkMode {
    Bridge,
    Host,
}

#[derive(JsonSchema)]
enum PidMode {
    #[schemars(rename = "host")]
    Host,
    #[schemars(rename = "")]
    Own,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum Labels {
    List(Vec<AssignmentText>),
    Object(BTreeMap<String, WordOrNumber>),
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum Scalar {
    Text(Plain),
    Number(f64),
    Flag(bool),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct PublishedPort {
    /// Of the host; all of them by itself.
    ip: Option<Plain>,
    node_port: Port,
    container_port: Port,
    protocol: Option<Protocol>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum Protocol {
    Tcp,
    Udp,
}

/// By `name`, or by the `id` that an answer had.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct ServiceLink {
    /// `SERVICE`, or `STACK/SERVICE` in another stack.
    name: Option<WordOrNumber>,
    /// `GRID/STACK/SERVICE`: not looked at where there is a name.
    id: Option<Value>,
    alias: Option<Plain>,
}

/// How it is placed and deployed.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct DeployDefinition {
    /// 0 waits for none.
    wait_for_port: Option<Whole<0, 65_535>>,
    #[schemars(range(min = 0, max = 1))]
    min_health: Option<f64>,
    /// The widest first; only with the strategy `ha`.
    #[schemars(length(max = 3))]
    spread: Option<Vec<SpreadText>>,
    /// 0 is any number; not with the strategy `daemon`.
    max_per_node: Option<Count>,
    offline: Option<OfflineDefinition>,
    /// Only of stateless services with the strategy `ha`.
    rebalance: Option<bool>,
    standby_images: Option<Whole<0, 2>>,
    order: Option<Order>,
    on_failure: Option<OnFailure>,
    /// 0 replaces all without a stop.
    canary: Option<Count>,
    /// A cron expression of five fields, or six with seconds before them: a job. Empty is none.
    #[schemars(length(max = 1_000))]
    schedule: Option<String>,
    /// As `Europe/Helsinki`; only of a job, as what follows.
    #[schemars(length(max = 100))]
    time_zone: Option<String>,
    concurrency: Option<Concurrency>,
    /// Seconds, or `1h`; a day at most.
    time_limit: Option<WordOrNumber>,
    takeover: Option<bool>,
    /// Set once, with `witnesses`: one instance, and stateless. A lease holds for 20 s.
    singleton: Option<Singleton>,
    /// The nodes that grant its lease: three or five, none twice.
    #[schemars(length(min = 3, max = 5))]
    witnesses: Option<Vec<Word<Name>>>,
    interval: Option<Nothing>,
}

/// What keeps a singleton one: a majority of its witnesses lets it run.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub(crate) enum Singleton {
    Lease,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct OfflineDefinition {
    /// Seconds, or `1h`.
    replace_after: Option<WordOrNumber>,
    takeover: Option<Takeover>,
    on_return: Option<OnReturn>,
}

/// Whether a new container is started before its predecessor stops.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
pub(crate) enum Order {
    StopFirst,
    StartFirst,
}

/// What becomes of a deploy when an instance fails.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub(crate) enum OnFailure {
    Halt,
    Rollback,
}

/// What becomes of a slot while the run before it goes on.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub(crate) enum Concurrency {
    Forbid,
    Replace,
    Allow,
}

/// Who may start an instance whose node is absent.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub(crate) enum Takeover {
    Half,
    Always,
    Never,
}

/// Who keeps an instance when its node is back.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(crate) enum OnReturn {
    KeepOriginal,
    KeepReplacement,
    LongestRunning,
}

/// Without a `protocol` nothing is asked, and nothing else is looked at.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum HealthCheckDefinition {
    Asked(AskedHealthCheck),
    None(NoHealthCheck),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct NoHealthCheck {
    protocol: Option<Empty>,
    port: Option<Value>,
    uri: Option<Value>,
    interval: Option<Value>,
    timeout: Option<Value>,
    initial_delay: Option<Value>,
    cmd: Option<Value>,
}

#[derive(JsonSchema)]
enum Empty {
    #[schemars(rename = "")]
    Text,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum Question {
    Http,
    Tcp,
    /// *Ours.*
    Exec,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct AskedHealthCheck {
    protocol: Question,
    /// Of `http` and `tcp`.
    port: Option<Port>,
    /// Of `http`.
    uri: Option<Plain>,
    interval: Option<Seconds>,
    timeout: Option<Seconds>,
    initial_delay: Option<Seconds>,
    /// Of `exec`.
    cmd: Option<Plain>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct HooksDefinition {
    #[schemars(length(max = 16))]
    pre_start: Option<Vec<HookDefinition>>,
    #[schemars(length(max = 16))]
    post_start: Option<Vec<HookDefinition>>,
    #[schemars(length(max = 16))]
    pre_stop: Option<Vec<HookDefinition>>,
    #[schemars(length(max = 16))]
    pre_backup: Option<Vec<HookDefinition>>,
    #[schemars(length(max = 16))]
    post_backup: Option<Vec<HookDefinition>>,
    pre_build: Option<Nothing>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct HookDefinition {
    /// Unique in its stage.
    name: Plain,
    /// Run by `/bin/sh -c`.
    cmd: Plain,
    /// `*`, or numbers as `1,2`.
    instances: Option<WordOrNumber>,
    oneshot: Option<bool>,
}

/// A stack as `kontena stack validate` prints it.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct StackDefinition {
    /// What it is installed as; by itself the last part of `stack`.
    name: Option<Word<Name>>,
    /// The name in its file: `name` or `user/name`.
    stack: WordOrNumber,
    version: Option<WordOrNumber>,
    description: Option<Plain>,
    /// The file's text.
    source: Option<Plain>,
    registry: Option<Value>,
    /// One of its services.
    expose: Option<Word<Name>>,
    #[schemars(length(min = 1, max = 1_000))]
    services: Vec<NewService>,
    #[schemars(length(max = 1_000))]
    labels: Option<Vec<StackLabelText>>,
    /// What its variables were given.
    variables: Option<BTreeMap<String, Value>>,
    /// What its file says of itself under `meta`: 16 KiB at most, and nested 32 levels at most.
    metadata: Option<BTreeMap<String, Value>>,
    dependencies: Option<Value>,
    parent: Option<StackParent>,
    volumes: Option<Nothing>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct StackParent {
    id: Option<Value>,
    name: Word<Name>,
}
