//! The key-value store as clients of etcd's version 2 speak to it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::fixture::{Server, view};
use crate::api::server::limits::Limits;
use crate::api::server::serve_keys;

/// A server of keys, on its own port.
struct Etcd {
    address: std::net::SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    serving: tokio::task::JoinHandle<()>,
    _api: Server,
}

/// Status, headers in small letters, and body.
#[derive(Debug)]
struct Heard {
    status: u16,
    head: String,
    body: Value,
}

impl Etcd {
    async fn start() -> Self {
        Self::admitting(|_| true).await
    }

    async fn admitting(admits: fn(std::net::IpAddr) -> bool) -> Self {
        Self::limited(admits, Limits::default()).await
    }

    async fn limited(admits: fn(std::net::IpAddr) -> bool, limits: Limits) -> Self {
        let api = Server::reading(view()).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let backend = Arc::clone(&api.backend);
        let serving = tokio::spawn(serve_keys(listener, backend, admits, limits, async {
            stopped.await.ok();
        }));
        Self {
            address,
            stop: Some(stop),
            serving,
            _api: api,
        }
    }

    async fn ask(&self, method: &str, path: &str, form: &str) -> Heard {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let length = form.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: etcd.kontena.local:2379\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{form}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        heard(&answer)
    }

    async fn get(&self, path: &str) -> Heard {
        self.ask("GET", path, "").await
    }

    async fn put(&self, path: &str, form: &str) -> Heard {
        self.ask("PUT", path, form).await
    }
}

fn heard(answer: &str) -> Heard {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned()));
    Heard {
        status,
        head: head.to_lowercase(),
        body,
    }
}

fn code(heard: &Heard) -> (u16, u64) {
    (heard.status, heard.body["errorCode"].as_u64().unwrap())
}

#[tokio::test]
async fn a_key_is_set_read_and_removed_as_etcd_answers_it() {
    let etcd = Etcd::start().await;
    let set = etcd.put("/v2/keys/message", "value=Hello+world").await;
    assert_eq!(set.status, 201);
    assert_eq!(
        set.body,
        json!({
            "action": "set",
            "node": {"key": "/message", "value": "Hello world", "modifiedIndex": 1, "createdIndex": 1},
        })
    );
    assert!(set.head.contains("x-etcd-index: 1"), "{}", set.head);
    let again = etcd.put("/v2/keys/message", "value=Hello etcd").await;
    assert_eq!(again.status, 200);
    assert_eq!(again.body["prevNode"]["value"], "Hello world");
    assert_eq!(again.body["node"]["value"], "Hello etcd");
    let got = etcd.get("/v2/keys/message?quorum=true&sorted=true").await;
    assert_eq!(got.body["action"], "get");
    assert_eq!(got.body["node"]["modifiedIndex"], 2);
    let gone = etcd.ask("DELETE", "/v2/keys/message", "").await;
    assert_eq!(gone.body["action"], "delete");
    assert_eq!(gone.body["prevNode"]["value"], "Hello etcd");
    let missing = etcd.get("/v2/keys/message").await;
    assert_eq!(code(&missing), (404, 100));
    assert_eq!(
        missing.body,
        json!({"errorCode": 100, "message": "Key not found", "cause": "/message", "index": 3})
    );
}

#[tokio::test]
async fn directories_are_made_listed_and_removed() {
    let etcd = Etcd::start().await;
    let made = etcd.put("/v2/keys/dir", "dir=true").await;
    assert_eq!(
        (made.status, &made.body["node"]["dir"]),
        (201, &json!(true))
    );
    etcd.put("/v2/keys/foo/deep/x", "value=1").await;
    etcd.put("/v2/keys/foo/_hidden", "value=1").await;
    let root = etcd.get("/v2/keys/").await;
    assert_eq!(root.body["node"].get("key"), None);
    assert_eq!(root.body["node"]["nodes"][1]["key"], "/foo");
    assert_eq!(root.body["node"]["nodes"][1].get("nodes"), None);
    let all = etcd.get("/v2/keys?recursive=true").await;
    let foo = &all.body["node"]["nodes"][1];
    assert_eq!(foo["nodes"][0]["nodes"][0]["key"], "/foo/deep/x");
    assert_eq!(foo["nodes"].as_array().unwrap().len(), 1);
    let remove = async |query: &str| etcd.ask("DELETE", &format!("/v2/keys{query}"), "").await;
    assert_eq!(code(&remove("/foo").await), (403, 102));
    assert_eq!(code(&remove("/foo?dir=true").await), (403, 108));
    assert_eq!(remove("/dir?dir=true").await.status, 200);
    assert_eq!(remove("/foo?recursive=true").await.status, 200);
    assert_eq!(code(&remove("/?recursive=true").await), (403, 107));
    assert_eq!(
        etcd.get("/v2/keys/").await.body["node"],
        json!({"dir": true})
    );
}

#[tokio::test]
async fn conditions_decide_and_say_what_was_there() {
    let etcd = Etcd::start().await;
    let put = async |form: &str| etcd.put("/v2/keys/lock", form).await;
    assert_eq!(code(&put("value=1&prevExist=true").await), (404, 100));
    let created = put("value=1&prevExist=false").await;
    assert_eq!(
        (created.status, &created.body["action"]),
        (201, &json!("create"))
    );
    assert_eq!(code(&put("value=1&prevExist=false").await), (412, 105));
    let differs = put("value=2&prevValue=3").await;
    assert_eq!(code(&differs), (412, 101));
    assert_eq!(differs.body["cause"], "[3 != 1]");
    assert_eq!(code(&put("value=2&prevValue=").await), (400, 201));
    let swapped = put("value=2&prevIndex=1").await;
    assert_eq!(swapped.body["action"], "compareAndSwap");
    assert_eq!(swapped.body["node"]["createdIndex"], 1);
    let updated = put("value=3&prevExist=true").await;
    assert_eq!(
        (updated.status, &updated.body["action"]),
        (200, &json!("update"))
    );
    let removed = etcd.ask("DELETE", "/v2/keys/lock?prevValue=3", "").await;
    assert_eq!(removed.body["action"], "compareAndDelete");
}

#[tokio::test]
async fn keys_that_are_to_last_say_how_long_and_are_refreshed() {
    let etcd = Etcd::start().await;
    let put = async |form: &str| etcd.put("/v2/keys/alive", form).await;
    let set = put("value=1&ttl=30").await;
    assert_eq!(set.body["node"]["ttl"], 30);
    assert!(set.body["node"]["expiration"].is_string());
    assert_eq!(code(&put("ttl=60&refresh=true&value=2").await), (400, 211));
    assert_eq!(code(&put("refresh=true").await), (400, 212));
    let refreshed = put("ttl=60&refresh=true&prevExist=true").await;
    assert_eq!(refreshed.body["node"]["value"], "1");
    assert_eq!(refreshed.body["node"]["ttl"], 60);
    assert_eq!(code(&put("value=1&ttl=soon").await), (400, 202));
    let lasting = put("value=1&ttl=").await;
    assert_eq!(lasting.body["node"].get("ttl"), None);
}

#[tokio::test]
async fn appended_keys_come_in_order() {
    let etcd = Etcd::start().await;
    for job in ["first", "second"] {
        let made = etcd
            .ask("POST", "/v2/keys/queue", &format!("value={job}"))
            .await;
        assert_eq!((made.status, &made.body["action"]), (201, &json!("create")));
    }
    let queue = etcd.get("/v2/keys/queue?recursive=true&sorted=true").await;
    let values: Vec<_> = queue.body["node"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| node["value"].clone())
        .collect();
    assert_eq!(values, ["first", "second"]);
}

#[tokio::test]
async fn whoever_waits_is_told_of_the_next_change_or_of_one_since_an_index() {
    let etcd = Arc::new(Etcd::start().await);
    etcd.put("/v2/keys/d/x", "value=1").await;
    let past = etcd
        .get("/v2/keys/d?wait=true&recursive=true&waitIndex=1")
        .await;
    assert_eq!(past.body["node"]["value"], "1");
    let waiting = Arc::clone(&etcd);
    let waiting = tokio::spawn(async move { waiting.get("/v2/keys/d/x?wait=true").await });
    let told = async {
        // It may be asked for only after this one: so there are more.
        while !waiting.is_finished() {
            etcd.put("/v2/keys/d/x", "value=2").await;
        }
    };
    timeout(Duration::from_secs(30), told).await.unwrap();
    let told = waiting.await.unwrap();
    assert_eq!(
        (told.status, &told.body["node"]["value"]),
        (200, &json!("2"))
    );
    for number in 0..1100 {
        etcd.put("/v2/keys/other", &format!("value={number}")).await;
    }
    let cleared = etcd.get("/v2/keys/d/x?wait=true&waitIndex=1").await;
    assert_eq!(code(&cleared), (400, 401));
}

#[tokio::test]
async fn who_waits_when_the_daemon_stops_is_let_go() {
    let mut etcd = Etcd::start().await;
    let mut stream = TcpStream::connect(etcd.address).await.unwrap();
    let request = b"GET /v2/keys/never?wait=true HTTP/1.1\r\nHost: a\r\n\r\n";
    stream.write_all(request).await.unwrap();
    etcd.stop.take();
    let mut answer = Vec::new();
    let read = timeout(Duration::from_secs(30), stream.read_to_end(&mut answer));
    assert!(read.await.is_ok());
    etcd.serving.await.unwrap();
}

#[tokio::test]
async fn what_is_wrong_is_said_in_etcds_words() {
    let etcd = Etcd::start().await;
    etcd.put("/v2/keys/value", "value=1").await;
    assert_eq!(
        code(&etcd.put("/v2/keys/value/x", "value=1").await),
        (400, 104)
    );
    assert_eq!(
        code(&etcd.put("/v2/keys/a", "dir=perhaps").await),
        (400, 209)
    );
    assert_eq!(
        code(&etcd.put("/v2/keys/a", "prevIndex=x").await),
        (400, 203)
    );
    for ttl in ["0", "-1", "soon"] {
        let refused = etcd.put("/v2/keys/a", &format!("value=1&ttl={ttl}")).await;
        assert_eq!(code(&refused), (400, 202), "{ttl}");
    }
    assert_eq!(
        code(&etcd.put("/v2/keys/a/../b", "value=1").await),
        (400, 209)
    );
    let long = "x".repeat(64 * 1024 + 1);
    assert_eq!(
        code(&etcd.put("/v2/keys/a", &format!("value={long}")).await),
        (413, 210)
    );
    let longer = "x".repeat(300 * 1024);
    assert_eq!(
        code(&etcd.put("/v2/keys/a", &format!("value={longer}")).await),
        (413, 210)
    );
    assert_eq!(
        etcd.get("/v2/keys/").await.body["node"]["nodes"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn clients_find_one_member_and_no_other_route_of_ours() {
    let etcd = Etcd::start().await;
    assert_eq!(etcd.get("/version").await.body["etcdserver"], "2.3.7");
    assert_eq!(etcd.get("/health").await.body, json!({"health": "true"}));
    let url = "http://etcd.kontena.local:2379";
    assert_eq!(etcd.get("/v2/machines").await.body, url);
    let members = etcd.get("/v2/members").await;
    assert_eq!(members.body["members"][0]["clientURLs"], json!([url]));
    let own = etcd.get("/v2/stats/self").await;
    assert_eq!(own.body["leaderInfo"]["leader"], own.body["id"]);
    for path in ["/v1/grids", "/v1/status", "/"] {
        assert_eq!(etcd.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn strangers_are_not_answered() {
    let etcd = Etcd::admitting(|_| false).await;
    let mut stream = TcpStream::connect(etcd.address).await.unwrap();
    // It may be closed before this is sent.
    stream
        .write_all(b"GET /version HTTP/1.1\r\n\r\n")
        .await
        .ok();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok();
    assert!(answer.is_empty());
}

#[tokio::test]
async fn who_waits_leaves_room_for_those_who_do_not() {
    let limits = Limits {
        of_one_host: 200,
        ..Limits::default()
    };
    let etcd = Etcd::limited(|_| true, limits).await;
    let (heard_of, mut all) = tokio::sync::mpsc::channel(200);
    for _ in 0..129 {
        let (heard_of, address) = (heard_of.clone(), etcd.address);
        tokio::spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let wait = b"GET /v2/keys/a?wait=true HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
            stream.write_all(wait).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            heard_of.send(heard(&answer)).await.unwrap();
        });
    }
    // One is one too many, and is told so once all others wait.
    let refused = all.recv().await.unwrap();
    assert_eq!(code(&refused), (503, 300), "{refused:?}");
    assert!(refused.head.contains("x-etcd-cluster-id: "), "{refused:?}");
    // Whoever only writes gets through, and lets those go that waited for it.
    assert_eq!(etcd.put("/v2/keys/a", "value=1").await.status, 201);
    for _ in 0..128 {
        assert_eq!(all.recv().await.unwrap().body["node"]["value"], "1");
    }
}

#[tokio::test]
async fn a_host_with_too_many_connections_is_told_so_in_etcd_s_form() {
    let limits = Limits {
        of_one_host: 1,
        ..Limits::default()
    };
    let etcd = Etcd::limited(|_| true, limits).await;
    let mut waits = TcpStream::connect(etcd.address).await.unwrap();
    let wait = b"GET /v2/keys/a?wait=true HTTP/1.1\r\nHost: a\r\n\r\n";
    waits.write_all(wait).await.unwrap();
    let told = etcd.get("/version").await;
    assert_eq!(told.status, 503, "{told:?}");
    assert_eq!(told.body["errorCode"], 300);
    assert!(told.head.contains("connection: close"), "{told:?}");
}
