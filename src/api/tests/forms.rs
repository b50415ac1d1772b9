//! The forms that the document tells of texts, against what the core takes.

use kontena_core::external_registry::RegistryName;
use kontena_core::id::{InstanceId, NodeId, NodeName, ServiceKey};
use kontena_core::membership::admission::check_labels;
use kontena_core::network::vpn::{Target, VpnKey};
use kontena_core::stack::{
    Affinity, Service, SpreadLabel, StackLabel, VolumesFrom, image_reference,
};
use kontena_core::view::RevisionName;
use proptest::prelude::*;
use schemars::{JsonSchema, SchemaGenerator};

use crate::api::types::form::{
    AffinityText, AssignmentText, ImageText, InstanceText, Key, Name, NodeLabelText,
    RecoveryKeyText, RegistryText, RegistryUrlText, RevisionText, ServiceText, SpreadText,
    StackLabelText, VolumesFromText, VpnKeyText,
};
use crate::backup::RecoveryKey;

/// Whether a text has the form.
fn has_form<Form: JsonSchema>() -> jsonschema::Validator {
    let schema = Form::json_schema(&mut SchemaGenerator::default());
    jsonschema::validator_for(schema.as_value()).unwrap()
}

/// That the core takes exactly the texts of this form, among these and whatever is drawn near them.
fn agree<Form: JsonSchema>(texts: &[&str], takes: impl Fn(&str) -> bool) {
    let form = has_form::<Form>();
    let name = Form::schema_name();
    let check = |text: &str| {
        let is_of_form = form.is_valid(&text.into());
        assert_eq!(is_of_form, takes(text), "{name}: {text:?}");
    };
    texts.iter().for_each(|text| check(text));
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
    let near = (prop::sample::select(texts), 0..80_usize, ".?", 0..3_usize);
    let changed = near.prop_map(|(text, at, put, times)| {
        let mut text: Vec<char> = text.chars().collect();
        let at = at.min(text.len());
        for _ in 0..times {
            text.splice(at..(at + 1).min(text.len()), put.chars());
        }
        text.into_iter().collect::<String>()
    });
    runner
        .run(&changed, |text| {
            check(&text);
            Ok(())
        })
        .unwrap();
}

#[test]
fn what_the_document_says_of_names_is_what_is_taken() {
    let long = "a".repeat(63);
    let longer = "a".repeat(64);
    agree::<Name>(
        &[
            "a", "web-2", "0x", "", "-a", "a-", "Web", "a_b", "a.b", "ä", &long, &longer,
        ],
        |text| text.parse::<NodeName>().is_ok(),
    );
    agree::<ServiceText>(
        &[
            "web", "shop/web", "null/web", "/web", "shop/", "a/b/c", &long,
        ],
        |text| text.parse::<ServiceKey>().is_ok(),
    );
    agree::<ServiceText>(&["shop", "shop/web", ""], |text| {
        text.parse::<Target>().is_ok()
    });
    agree::<InstanceText>(
        &[
            "web-1",
            "shop/web-12",
            "web-0",
            "web",
            "web-",
            "shop/web-2-3",
        ],
        |text| text.parse::<InstanceId>().is_ok(),
    );
    let key = "0123456789abcdef".repeat(4);
    agree::<Key>(&[&key, &key[1..], "", "g"], |text| {
        text.parse::<NodeId>().is_ok()
    });
}

#[test]
fn what_the_document_says_of_labels_and_rules_is_what_is_taken() {
    agree::<AffinityText>(
        &[
            "node==a",
            "label!=az=b",
            "service==~x",
            "container!=/^a/",
            "node==",
            "node==~",
            "nod==a",
            "node=a",
        ],
        |text| text.parse::<Affinity>().is_ok(),
    );
    agree::<VolumesFromText>(
        &[
            "db-1",
            "db-%s",
            "my-db-%i",
            "db-%d",
            "db",
            "db-0",
            "db-01",
            "shop/db-1",
            "db-1:ro",
            "",
            "db-1234567890",
            "-1",
            "%s",
        ],
        |text| text.parse::<VolumesFrom>().is_ok(),
    );
    agree::<SpreadText>(
        &["label=rack", "label=", "rack", "label=a=b", "label=a b"],
        |text| text.parse::<SpreadLabel>().is_ok(),
    );
    agree::<StackLabelText>(
        &[
            "team=a",
            "a.b-c=",
            "=a",
            "Team=a",
            "team",
            "team=a=b",
            "team=\u{7}",
        ],
        |text| text.parse::<StackLabel>().is_ok(),
    );
    agree::<NodeLabelText>(&["ssd", "az=a", "ä", "a b", "", "\u{7}"], |text| {
        check_labels(&[text.to_owned()]).is_ok()
    });
    agree::<AssignmentText>(&["A=b", "A=", "A", "=b", "A=b=c", "A=\0"], |text| {
        Service::variable_name(text).is_ok()
    });
}

#[test]
fn what_the_document_says_of_revisions_keys_and_images_is_what_is_taken() {
    agree::<RevisionText>(
        &[
            "7", "0", "07", "7~ab12", "ab12", "abc", "7~", "~ab12", "1234567", "ABCD",
        ],
        |text| text.parse::<RevisionName>().is_ok(),
    );
    // Points of small order, which no form can tell, are far from these.
    let key = "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=";
    agree::<VpnKeyText>(&[key, &key[1..], ""], |text| text.parse::<VpnKey>().is_ok());
    let digest = format!("redis@sha256:{}", "a".repeat(64));
    agree::<ImageText>(
        &[
            "nginx",
            "nginx:1.27",
            "kontena/lb",
            "localhost:5000/a/b",
            "registry.example.org/app:1",
            "Nginx",
            "a:",
            &digest,
        ],
        |text| image_reference(text).is_ok(),
    );
}

#[test]
fn what_the_document_says_of_registries_is_what_is_taken() {
    agree::<RegistryText>(
        &[
            "quay.io",
            "registry.local:5000",
            "registry:30500",
            "r:65535",
            "r:65536",
            "r:0",
            "r:05",
            "r:",
            "a_b.c-d",
            "-a",
            "A",
            "",
        ],
        |text| text.parse::<RegistryName>().is_ok(),
    );
    let form = has_form::<RegistryUrlText>();
    for text in [
        "https://quay.io",
        "quay.io/",
        "http://registry:30500/v2/",
        "https://R.local:65535",
        "https://r:65536",
        "https://r:0",
        "ftp://quay.io",
        "https://me@quay.io",
        "",
    ] {
        let is_taken = RegistryName::of_url(text).is_ok();
        assert_eq!(form.is_valid(&text.into()), is_taken, "{text:?}");
    }
}

#[test]
fn what_the_document_says_of_recovery_keys_is_what_is_taken() {
    let schema = RecoveryKeyText::json_schema(&mut SchemaGenerator::default());
    let useless = schema.as_value()["not"]["enum"].as_array().unwrap().clone();
    assert_eq!(useless.len(), 14);
    let useful = "5a".repeat(32);
    let texts = useless.iter().map(|text| text.as_str().unwrap());
    let texts: Vec<&str> = texts.chain([useful.as_str(), "", "5A"]).collect();
    agree::<RecoveryKeyText>(&texts, |text| text.parse::<RecoveryKey>().is_ok());
}
