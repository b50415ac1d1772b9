//! A registry of stacks as small as it can be: it keeps what is pushed, and answers as the protocol says
//! (`docs/design/registries.md`). What one that means harm answers is a function of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use super::TOKEN;

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// With what follows `?`.
    pub(crate) target: String,
    /// `Name: value`, names in lower case.
    pub(crate) headers: Vec<String>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// What is written back, byte by byte.
pub(crate) type Answer = dyn Fn(&Request, &mut dyn Write) + Send + Sync;

pub(crate) struct Server {
    url: String,
    asked: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// A registry that keeps to the protocol.
    pub(crate) fn up() -> Self {
        let registry = Mutex::new(Registry::default());
        Self::with(None, move |request, out| {
            let (status, body) = registry.lock().unwrap().answer(request);
            respond(out, status, &body);
        })
    }

    /// The same one behind TLS, with a certificate for `localhost` that `tests/registry/tls` has.
    pub(crate) fn up_with_tls() -> Self {
        let registry = Mutex::new(Registry::default());
        Self::with(Some(tls()), move |request, out| {
            let (status, body) = registry.lock().unwrap().answer(request);
            respond(out, status, &body);
        })
    }

    /// One that answers as it likes.
    pub(crate) fn answering(
        answer: impl Fn(&Request, &mut dyn Write) + Send + Sync + 'static,
    ) -> Self {
        Self::with(None, answer)
    }

    fn with(
        tls: Option<Arc<ServerConfig>>,
        answer: impl Fn(&Request, &mut dyn Write) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = match tls {
            Some(_) => format!("https://localhost:{port}"),
            None => format!("http://127.0.0.1:{port}"),
        };
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (notes, answer) = (Arc::clone(&asked), Arc::new(answer));
        // It ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (notes, answer, tls) = (Arc::clone(&notes), Arc::clone(&answer), tls.clone());
                thread::spawn(move || match tls {
                    Some(tls) => {
                        let connection = ServerConnection::new(tls).unwrap();
                        serve(
                            StreamOwned::new(connection, stream.unwrap()),
                            &notes,
                            &*answer,
                        );
                    }
                    None => serve(stream.unwrap(), &notes, &*answer),
                });
            }
        });
        Self { url, asked }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap().clone()
    }
}

/// One request, one answer; whoever goes away first is no failure.
fn serve(mut stream: impl Read + Write, notes: &Mutex<Vec<Request>>, answer: &Answer) {
    let Some(request) = read(&mut stream) else {
        return;
    };
    notes.lock().unwrap().push(request.clone());
    answer(&request, &mut stream);
    let _ = stream.flush();
}

fn read(stream: &mut impl Read) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        let name = name.to_lowercase();
        if name == "content-length" {
            length = value.parse().ok()?;
        }
        headers.push(format!("{name}: {value}"));
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        method,
        target,
        headers,
        body: String::from_utf8(body).ok()?,
    })
}

/// A whole answer.
pub(crate) fn respond(out: &mut dyn Write, status: u16, body: &str) {
    let length = body.len();
    let _ = write!(
        out,
        "HTTP/1.1 {status} Said\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
}

fn tls() -> Arc<ServerConfig> {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("tls/localhost.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/localhost.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    Arc::new(config)
}

#[derive(Default)]
struct Registry {
    /// In the order in which they came. The name is `user/stack`.
    stacks: Vec<Stack>,
}

struct Stack {
    name: String,
    private: bool,
    /// Numbers and texts, the newest last.
    versions: Vec<(String, String)>,
}

impl Stack {
    fn resource(&self) -> Value {
        let (user, stack) = self.name.split_once('/').unwrap();
        json!({"id": format!("id of {}", self.name), "type": "stacks", "attributes": {
            "name": stack, "organization-id": user, "is-private": self.private,
            "created-at": "2017-01-01", "pulls": 7,
        }})
    }

    fn newest(&self, prereleases: bool) -> Option<Value> {
        let mut versions = self.versions.iter().rev();
        let (version, _) = versions.find(|(version, _)| prereleases || !version.contains('-'))?;
        Some(self.version(version))
    }

    fn version(&self, version: &str) -> Value {
        let id = format!("{}@{version}", self.name);
        json!({"id": id, "type": "stack-versions", "attributes": {
            "name": self.name, "version": version, "description": "keeps things", "created-at": "2017-02-01",
        }, "meta": {"tags": ["store"]}})
    }
}

type Said = (u16, String);

fn refused(status: u16, detail: &str) -> Said {
    let error = json!({"errors": [{"status": status.to_string(), "detail": detail}]});
    (status, error.to_string())
}

impl Registry {
    fn answer(&mut self, request: &Request) -> Said {
        let (path, query) = request
            .target
            .split_once('?')
            .unwrap_or((&request.target, ""));
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        let is_change = request.method != "GET";
        if is_change && request.header("authorization") != Some(&format!("Bearer {TOKEN}")) {
            return refused(401, "who are you?");
        }
        match (&*request.method, &*parts) {
            ("POST", ["v2", "stack-files"]) => self.push(request),
            ("GET", ["v2", "stacks"]) => self.search(query, true),
            ("GET", ["v2", "tags", tags, "stacks"]) => self.search(query, *tags == "store"),
            ("POST", ["v2", "stacks"]) => self.create(request),
            ("PUT", ["v2", "stacks", id]) => self.change(id, request),
            ("DELETE", ["v2", "stacks", id]) => self.remove(id),
            ("DELETE", ["v2", "stack-versions", id]) => self.remove_version(id),
            ("GET", ["v2", "organizations", user, "stacks", stack, below @ ..]) => {
                let name = format!("{user}/{stack}");
                match self.stacks.iter().find(|one| one.name == name) {
                    Some(stack) => read_stack(stack, below),
                    None => refused(404, "Not found"),
                }
            }
            _ => refused(405, "no such route"),
        }
    }

    fn push(&mut self, request: &Request) -> Said {
        if request.header("content-type") != Some("application/vnd.api+json") {
            return refused(415, "not JSON:API");
        }
        let body: Value = serde_json::from_str(&request.body).unwrap();
        let text = body["data"]["attributes"]["content"].as_str().unwrap();
        let of = |key: &str| {
            let mut lines = text.lines();
            lines
                .find_map(|line| line.strip_prefix(key))
                .unwrap()
                .to_owned()
        };
        let (name, version) = (of("stack: "), of("version: "));
        let index = self.place(&name);
        let versions = &mut self.stacks[index].versions;
        if versions.iter().any(|(known, _)| *known == version) {
            return refused(409, "that version is there already");
        }
        versions.push((version, text.to_owned()));
        (201, String::new())
    }

    fn place(&mut self, name: &str) -> usize {
        let known = self.stacks.iter().position(|one| one.name == name);
        known.unwrap_or_else(|| {
            self.stacks.push(Stack {
                name: name.to_owned(),
                private: false,
                versions: Vec::new(),
            });
            self.stacks.len() - 1
        })
    }

    fn search(&self, query: &str, tagged: bool) -> Said {
        let asked = |part: &str| query.split('&').any(|one| one == part);
        let word = query.split('&').find_map(|one| one.strip_prefix("query="));
        let found: Vec<&Stack> = self
            .stacks
            .iter()
            .filter(|one| tagged && one.name.contains(word.unwrap_or_default()))
            .filter(|one| !one.private || asked("include-private=true"))
            .collect();
        let prereleases = asked("include-prerelease=true");
        let newest = found.iter().filter_map(|one| one.newest(prereleases));
        let body = json!({
            "included": newest.collect::<Vec<_>>(),
            "data": found.iter().map(|one| one.resource()).collect::<Vec<_>>(),
        });
        (200, body.to_string())
    }

    fn create(&mut self, request: &Request) -> Said {
        let body: Value = serde_json::from_str(&request.body).unwrap();
        let of = &body["data"]["attributes"];
        let text = |key: &str| of[key].as_str().unwrap();
        let index = self.place(&format!("{}/{}", text("organization-id"), text("name")));
        self.stacks[index].private = of["is-private"] == true;
        (
            201,
            json!({"data": self.stacks[index].resource()}).to_string(),
        )
    }

    fn change(&mut self, id: &str, request: &Request) -> Said {
        let body: Value = serde_json::from_str(&request.body).unwrap();
        match self.stacks.iter_mut().find(|one| escaped_id(one) == id) {
            Some(stack) => stack.private = body["data"]["attributes"]["is-private"] == true,
            None => return refused(404, "Not found"),
        }
        (200, json!({"data": {}}).to_string())
    }

    fn remove(&mut self, id: &str) -> Said {
        let before = self.stacks.len();
        self.stacks.retain(|one| escaped_id(one) != id);
        if self.stacks.len() == before {
            return refused(404, "Not found");
        }
        (204, String::new())
    }

    fn remove_version(&mut self, id: &str) -> Said {
        for stack in &mut self.stacks {
            let name = stack.name.replace('/', "%2F");
            let before = stack.versions.len();
            let versions = &mut stack.versions;
            versions.retain(|(version, _)| format!("{name}%40{version}") != id);
            if versions.len() < before {
                return (204, String::new());
            }
        }
        refused(404, "Not found")
    }
}

/// Ids are no more than texts: these have what a path would trip over.
fn escaped_id(stack: &Stack) -> String {
    format!("id of {}", stack.name)
        .replace(' ', "%20")
        .replace('/', "%2F")
}

fn read_stack(stack: &Stack, below: &[&str]) -> Said {
    match below {
        [] => {
            let included: Vec<Value> = stack.newest(true).into_iter().collect();
            let body = json!({"data": stack.resource(), "included": included});
            (200, body.to_string())
        }
        ["stack-versions"] => {
            let versions = stack
                .versions
                .iter()
                .map(|(version, _)| stack.version(version));
            (
                200,
                json!({"data": versions.collect::<Vec<_>>()}).to_string(),
            )
        }
        ["stack-versions", version, "yaml"] => {
            let mut versions = stack.versions.iter().rev();
            match versions.find(|(known, _)| *version == "latest" || known == version) {
                Some((_, text)) => (200, text.clone()),
                None => refused(404, "Not found"),
            }
        }
        _ => refused(405, "no such route"),
    }
}
