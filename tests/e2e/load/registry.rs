//! A registry of images that has what lies in a folder: `NAME/manifests/REFERENCE` and `NAME/blobs/DIGEST`, to be read only.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::thread::scope;

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const BLOB: &str = "application/octet-stream";
const UNKNOWN: &str = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"lab\"\r\n\
     Docker-Distribution-Api-Version: registry/2.0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Answers until it is ended.
///
/// With an `authorization` only those are answered who send that header: `Basic …`.
pub(crate) fn run(port: u16, folder: &Path, authorization: Option<&str>) -> Result<(), String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = TcpListener::bind(address)
        .map_err(|problem| format!("failed to listen on {address}: {problem}"))?;
    scope(|threads| {
        for stream in listener.incoming().flatten() {
            threads.spawn(move || {
                if let Err(problem) = answer(stream, folder, authorization) {
                    super::say(&format!("failed to answer: {problem}"));
                }
            });
        }
        Ok(())
    })
}

/// One question by each connection.
fn answer(
    mut stream: TcpStream,
    folder: &Path,
    authorization: Option<&str>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let asked = lines.next().transpose()?.unwrap_or_default();
    let mut is_known = authorization.is_none();
    for line in lines {
        let line = line?;
        let header = line.split_once(": ");
        is_known |= header.is_some_and(|(name, value)| {
            name.eq_ignore_ascii_case("authorization") && Some(value) == authorization
        });
        if line.is_empty() {
            break;
        }
    }
    if !is_known {
        return stream.write_all(UNKNOWN.as_bytes());
    }
    let mut words = asked.split(' ');
    let (method, path) = (words.next(), words.next().unwrap_or_default());
    let path = path.trim_start_matches("/v2/");
    let is_blob = path.contains("/blobs/");
    let (status, body) = match std::fs::read(folder.join(path)) {
        Ok(body) if !path.contains("..") => ("200 OK", body),
        // The folder itself: whether there is a registry.
        Err(problem) if problem.kind() == ErrorKind::IsADirectory => ("200 OK", Vec::new()),
        Ok(_) | Err(_) => ("404 Not Found", Vec::new()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\
         Docker-Distribution-Api-Version: registry/2.0\r\n\r\n",
        if is_blob { BLOB } else { MANIFEST },
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    match method {
        Some("HEAD") => Ok(()),
        Some(_) | None => stream.write_all(&body),
    }
}
