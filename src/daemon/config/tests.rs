//! Precedence, and mistakes.

use expect_test::{Expect, expect};

use super::*;

fn file(text: &str) -> ConfigFile {
    ConfigFile {
        path: "kontena.toml".to_owned(),
        text: text.to_owned(),
    }
}

fn flags(options: &[&str]) -> DaemonArgs {
    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        daemon: DaemonArgs,
    }
    let words = std::iter::once("daemon").chain(options.iter().copied());
    <Command as clap::Parser>::try_parse_from(words)
        .unwrap_or_else(|problem| panic!("{problem}"))
        .daemon
}

fn environment(variables: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
    let variables: Vec<(String, String)> = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    move |wanted| {
        let found = variables.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.clone())
    }
}

#[track_caller]
fn check_problems(options: &[&str], variables: &[(&str, &str)], text: &str, expected: &Expect) {
    let problems = load(&flags(options), environment(variables), Some(&file(text))).unwrap_err();
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn nothing_said_means_the_documented_defaults() {
    let config = load(&DaemonArgs::default(), |_| None, None).unwrap();
    expect![[r#"
        Config {
            data_dir: "/var/lib/kontena",
            socket: "/run/kontena/kontena.sock",
            listen: [
                0.0.0.0:8470,
                [::]:8470,
            ],
            listen_is_default: true,
            advertise: [],
            api_listen: None,
            docker: Socket(
                "/var/run/docker.sock",
            ),
            overlay: Some(
                Names {
                    interface: "kontena0",
                    bridge: "kontena-br",
                    network: "kontena",
                    comment: "kontena:kontena0",
                },
            ),
            overlay_port: 8470,
            log: Level(
                Info,
            ),
        }"#]]
    .assert_eq(&format!("{config:#?}"));
}

#[test]
fn a_flag_goes_before_the_environment_before_the_file() {
    let text = "log = 'debug'\nsocket = '/file.sock'\ndata_dir = '/file'\n";
    let variables = [
        ("KONTENA_SOCKET", "/env.sock"),
        ("KONTENA_DATA_DIR", "/env"),
    ];
    let config = load(
        &flags(&["--data-dir", "/flag"]),
        environment(&variables),
        Some(&file(text)),
    )
    .unwrap();
    assert_eq!(config.data_dir, PathBuf::from("/flag"));
    assert_eq!(config.socket, PathBuf::from("/env.sock"));
    assert_eq!(config.log, Level::DEBUG);
}

#[test]
fn lists_replace_each_other_and_a_port_may_be_left_out() {
    let config = load(
        &flags(&["--listen", "10.0.0.5", "--listen", "[fd00::1]:9"]),
        environment(&[
            ("KONTENA_LISTEN", "10.0.0.6"),
            ("KONTENA_ADVERTISE", "192.0.2.1, fd00::2"),
        ]),
        None,
    )
    .unwrap();
    let texts = |addresses: &[SocketAddr]| -> Vec<String> {
        addresses.iter().map(ToString::to_string).collect()
    };
    assert_eq!(texts(&config.listen), ["10.0.0.5:8470", "[fd00::1]:9"]);
    assert_eq!(
        texts(&config.advertise),
        ["192.0.2.1:8470", "[fd00::2]:8470"]
    );
    assert!(!config.listen_is_default);
}

#[test]
fn docker_is_found_as_docker_itself_is() {
    let docker = |options: &[&str], variables: &[(&str, &str)]| {
        load(&flags(options), environment(variables), None)
            .unwrap()
            .docker
    };
    let host = ("DOCKER_HOST", "tcp://10.0.0.9:2375");
    assert_eq!(
        docker(&[], &[host]),
        Docker::Tcp("10.0.0.9:2375".to_owned())
    );
    assert_eq!(
        docker(&["--docker", "unix:///a.sock"], &[host]),
        Docker::Socket("/a.sock".into())
    );
    assert_eq!(
        docker(&[], &[("KONTENA_DOCKER", "unix:///b.sock"), host]),
        Docker::Socket("/b.sock".into())
    );
}

#[test]
fn an_engine_behind_tls_is_refused_rather_than_asked_in_the_clear() {
    let variables = [("DOCKER_HOST", "tcp://a:2376"), ("DOCKER_TLS_VERIFY", "1")];
    let problems = load(&flags(&[]), environment(&variables), None).unwrap_err();
    assert!(problems[0].message.contains("TLS"), "{problems:?}");
}

#[test]
fn all_mistakes_of_all_places_are_reported_at_once() {
    check_problems(
        &[
            "--listen",
            "here",
            "--listen",
            "0.0.0.0:99999",
            "--data-dir",
            "data",
        ],
        &[
            ("KONTENA_API_LISTEN", "9292"),
            ("KONTENA_ADVERTISE", "0.0.0.0"),
            ("DOCKER_HOST", "ssh://host"),
            ("DOCKER_TLS_VERIFY", "1"),
        ],
        "log = 'loud'\n\ndocker = 5\ncolour = 'red'\n[listen]\nport = 1\n",
        &expect![[r#"
            --data-dir: `data` has to be an absolute path
            --listen: `here` is not an address: expected IP or IP:PORT, e.g. 10.0.0.5:8470
            --listen: `0.0.0.0:99999` is not an address: expected IP or IP:PORT, e.g. 10.0.0.5:8470
            DOCKER_HOST: `ssh://host` is not a Docker engine: expected unix:///PATH or tcp://HOST:PORT
            KONTENA_ADVERTISE: `0.0.0.0` is nothing that another node can connect to
            KONTENA_API_LISTEN: `9292` is not an address: expected IP:PORT, e.g. 127.0.0.1:9292
            kontena.toml:1: `loud` is not a log level: use error, warn, info, debug or trace
            kontena.toml:3: `docker` has to be a text or a list of texts
            kontena.toml:4: `colour` is not a known key: the keys are data_dir, socket, listen, advertise, api_listen, docker, overlay, overlay_port, log
            kontena.toml:5: `listen` has to be a text or a list of texts"#]],
    );
}

#[test]
fn a_file_that_is_no_toml_is_one_mistake_with_its_line() {
    check_problems(
        &[],
        &[],
        "log = 'info'\nsocket = \n",
        &expect!["kontena.toml:2: string values must be quoted, expected literal string"],
    );
}

#[test]
fn one_setting_in_two_spellings_is_a_mistake() {
    check_problems(
        &[],
        &[],
        "data_dir = '/a'\ndata-dir = '/b'\n",
        &expect!["kontena.toml:2: `data_dir` is given twice"],
    );
}

#[test]
fn a_file_that_was_named_has_to_be_there() {
    let named = flags(&["--config", "/nonexistent/kontena.toml"]);
    let problem = read_file(&named, |_| None).unwrap_err();
    assert_eq!(problem.origin, "/nonexistent/kontena.toml");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("k.toml");
    std::fs::write(&path, "log = 'warn'").unwrap();
    let variable = path.to_str().unwrap().to_owned();
    let found = read_file(&DaemonArgs::default(), move |name| {
        (name == "KONTENA_DAEMON_CONFIG").then(|| variable.clone())
    });
    assert_eq!(found.unwrap().unwrap().text, "log = 'warn'");
}
