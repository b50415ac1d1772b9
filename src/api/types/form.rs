//! The forms of names and other texts, for the document of the API alone.
//!
//! Each is named by a field whose value the core checks (`#[schemars(with = "Name")]`). A test holds that what a form
//! says is what the core takes. Not here: reading.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// A text of one form, as a type that has nothing but a schema.
macro_rules! form {
    ($(#[doc = $doc:literal] $name:ident = $schema:tt;)+) => {
        $(
            #[doc = $doc]
            #[derive(Debug)]
            pub(crate) enum $name {}

            impl JsonSchema for $name {
                fn inline_schema() -> bool {
                    true
                }

                fn schema_name() -> Cow<'static, str> {
                    stringify!($name).into()
                }

                fn json_schema(_: &mut SchemaGenerator) -> Schema {
                    json_schema!($schema)
                }
            }
        )+
    };
}

form! {
    /// A DNS label: the name of a grid, a node, a stack, a service or a VPN user.
    Name = {
        "type": "string", "pattern": "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", "minLength": 1, "maxLength": 63
    };
    /// 32 bytes: the id of a node or a token, the hash of a revision.
    Key = { "type": "string", "pattern": "^[0-9a-f]{64}$" };
    /// A path of the key-value store: `/`, or segments that follow a `/` each; at most 512 bytes.
    KeyText = {
        "type": "string", "pattern": "^/[^\\x00-\\x1f\\x7f-\\x9f]*$", "minLength": 1, "maxLength": 512
    };
    /// A key as the last part of a path: its slashes are encoded there, and the first may be left out.
    KeyPart = {
        "type": "string", "pattern": "^[^/\\x00-\\x1f\\x7f-\\x9f]+$", "minLength": 1, "maxLength": 511
    };
    /// A service in its stack, or a service without one.
    ServiceText = {
        "type": "string",
        "pattern": "^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?/)?[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
    };
    /// An instance of a service.
    InstanceText = {
        "type": "string",
        "pattern": "^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?/)?[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?-[1-9][0-9]*$"
    };
    /// Where instances run; between slashes is a regular expression.
    AffinityText = {
        "type": "string", "pattern": "^(node|label|service|container)(==|!=)(~[\\s\\S]+|[^~][\\s\\S]*)$"
    };
    /// Whose volumes are mounted.
    VolumesFromText = {
        "type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?-(%[dis]|[1-9][0-9]{0,8})$"
    };
    /// Over what instances are spread.
    SpreadText = { "type": "string", "pattern": "^label=[^=\\s\\x00-\\x1f\\x7f-\\x9f]+$" };
    /// A label of a node, `KEY=VALUE` or a bare one: 255 bytes at most, none of them a control character.
    NodeLabelText = {
        "type": "string", "pattern": "^[^\\x00-\\x1f\\x7f-\\x9f]+$", "minLength": 1, "maxLength": 255
    };
    /// A label of a stack, of 240 bytes at most.
    StackLabelText = {
        "type": "string", "pattern": "^[a-z0-9.-]+=[^\\x00-\\x1f\\x7f-\\x9f]*$", "maxLength": 240
    };
    /// A public key as `wg pubkey` prints it.
    VpnKeyText = {
        "type": "string", "pattern": "^[A-Za-z0-9+/]{41}[A-HQ-Xg-nw-z0-3][AEIMQUYcgkosw048]=$"
    };
    /// A public key of X25519, in hexadecimal; but none of the seven that keep no secret (RFC 7748, section 6.1), each with its unread highest bit or without.
    RecoveryKeyText = {
        "type": "string", "pattern": "^[0-9a-f]{64}$",
        "not": {"enum": [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0000000000000000000000000000000000000000000000000000000000000080",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000080",
            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b880",
            "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
            "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f11d7",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
        ]}
    };
    /// The name of a volume.
    VolumeText = {
        "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]*$", "minLength": 2, "maxLength": 64
    };
    /// What Docker calls a copy of a volume, or the name of a volume.
    CopyText = {
        "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]*$", "minLength": 1, "maxLength": 255
    };
    /// Who shares one copy of a volume on a node.
    ScopeText = { "type": "string", "enum": ["instance", "stack", "grid"] };
    /// What Docker calls a volume driver.
    DriverText = {
        "type": "string", "pattern": "^[A-Za-z0-9_.:/-]+$", "minLength": 1, "maxLength": 1_024
    };
    /// The host of a registry, with a port.
    RegistryText = {
        "type": "string",
        "pattern": "^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?$",
        "maxLength": 177
    };
    /// Where a registry is; `https://` is put in front where there is no scheme.
    RegistryUrlText = {
        "type": "string",
        "pattern": "^(https?://)?[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(\\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?(/[\\x21-\\x3f\\x41-\\x7e]*)?$",
        "maxLength": 177
    };
    /// A revision of a stack: `7`, `7~ab12`, or at least 4 digits of its hash.
    RevisionText = {
        "type": "string", "pattern": "^((0|[1-9][0-9]{0,18})|([0-9]{1,19}~)?[0-9a-f]{4,64})$"
    };
    /// A private range of IPv4, such as `10.80.0.0/12`, that ends where its prefix does.
    RangeText = {
        "type": "string", "pattern": "^[0-9]{1,3}(\\.[0-9]{1,3}){3}/[0-9]{1,2}$"
    };
    /// An image, `[HOST[:PORT]/]NAME[:TAG][@DIGEST]`, its name in lower case, with 255 bytes at most.
    ImageText = {
        "type": "string", "minLength": 1,
        "pattern": "^(([A-Za-z0-9.-]+:\\+?0*([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])|[A-Za-z0-9-]*\\.[A-Za-z0-9.-]*|localhost)/)?[a-z0-9]([a-z0-9._-]*[a-z0-9])?(/[a-z0-9]([a-z0-9._-]*[a-z0-9])?)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@[A-Za-z0-9]+:[0-9a-fA-F]{32,})?$"
    };
    /// A moment in RFC 3339, in UTC where the API says it.
    TimeText = { "type": "string", "format": "date-time" };
    /// `KEY=VALUE` of 128 KiB at most; the key is not empty.
    AssignmentText = { "type": "string", "pattern": "^[^=\\x00]+=[^\\x00]*$" };
    /// The id of a deploy, a number in decimal.
    DeployText = { "type": "string", "pattern": "^[0-9]{1,20}$" };
    /// The name of an environment variable.
    VariableText = { "type": "string", "pattern": "^[^=\\x00]+$", "minLength": 1 };
    /// A port.
    PortText = { "type": "integer", "minimum": 1, "maximum": 65535 };
    /// `1` or `true`, or that it is not so.
    FlagText = { "type": "string", "enum": ["1", "true", "0", "false", ""] };
    /// The id of a line of a log.
    LineText = { "type": "string", "pattern": "^(0[0-9]{19}|1[0-7][0-9]{18})-[^\\x00]+$" };
    /// Services with commas between them.
    ServicesText = {
        "type": "string", "pattern": "^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(/[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?){0,2}(,|$))*$"
    };
    /// An address of IPv4 or IPv6.
    AddressText = { "type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}] };
}
