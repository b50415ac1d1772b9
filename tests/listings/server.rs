//! What stands in for a node, and for a registry of stacks: it answers each path with what a file says.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use serde_json::Value;

use super::answers::Answers;

/// Where it answers, until the tests end.
pub(crate) fn up(answers: Answers) -> String {
    up_but(answers, |_| false)
}

/// As [`up`], but it is gone before it answers those requests whose first line is one that `loses`.
pub(crate) fn up_but(
    answers: Answers,
    loses: impl Fn(&str) -> bool + Send + Sync + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (answers, loses) = (Arc::new(answers), Arc::new(loses));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, answers) = (stream.unwrap(), answers.clone());
            let loses = Arc::clone(&loses);
            thread::spawn(move || {
                let asked = asked(&stream);
                if !loses(&asked) {
                    answer(stream, &answers, &asked);
                }
            });
        }
    });
    url
}

fn answer(mut stream: TcpStream, answers: &Answers, asked: &str) {
    let path = path(asked);
    let (status, body) = match answers.at(path) {
        Some(answer) => (200, answer.to_string()),
        None => (404, unknown(path).to_string()),
    };
    let head = format!("HTTP/1.1 {status} Said\r\nConnection: close\r\nContent-Length: ");
    // Who asked may be gone.
    let _ = write!(stream, "{head}{}\r\n\r\n{body}", body.len());
}

fn unknown(path: &str) -> Value {
    serde_json::json!({"error": {"message": format!("no file answers `{path}`"), "kind": "not_found"}})
}

/// The first line of a request, once it was read to its end.
fn asked(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let line = line(&mut reader);
    let mut length = 0;
    loop {
        let header = self::line(&mut reader).to_lowercase();
        if let Some(said) = header.strip_prefix("content-length:") {
            length = said.trim().parse().unwrap();
        }
        if header.is_empty() {
            break;
        }
    }
    reader.read_exact(&mut vec![0; length]).unwrap();
    line
}

/// Without what follows `?`.
fn path(asked: &str) -> &str {
    let target = asked.split(' ').nth(1).unwrap_or_default();
    target.split('?').next().unwrap_or_default()
}

fn line(reader: &mut impl BufRead) -> String {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}
