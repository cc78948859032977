//! The receiver behind a real socket: many notifications, an orderly end, and certificates that change.

use std::path::Path;
use std::time::Duration;

use reqwest::{Certificate, Client};

use super::{Receiver, room};
use crate::notification::server::{Listening, Server, Socket};

/// How long a test waits for what must happen.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn plain() -> Socket {
    Socket {
        listen: "127.0.0.1:0".parse().unwrap(),
        tls_dir: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_notifications_at_once_are_all_counted() {
    let receiver = Receiver::new();
    let server = Server::start(plain(), receiver.router.clone())
        .await
        .unwrap();
    let url = format!(
        "http://{}{}",
        server.address(),
        receiver.change_path(room())
    );
    let body = serde_json::json!({"value": [receiver.item(room())]}).to_string();
    let client = Client::new();
    let sending = (0..20).map(|_| {
        let (client, url, body) = (client.clone(), url.clone(), body.clone());
        tokio::spawn(async move {
            for _ in 0..50 {
                let answer = client.post(&url).body(body.clone()).send().await.unwrap();
                assert_eq!(answer.status(), 202);
            }
        })
    });
    for sender in futures::future::join_all(sending).await {
        sender.unwrap();
    }
    assert_eq!(receiver.counted("accepted", "rooms/contoso"), 1000);
    assert_eq!(receiver.wakes.drain(), []);
    server.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn a_stop_request_leaves_the_socket_open_for_a_while_and_then_closes_it() {
    let receiver = Receiver::new();
    let server = Server::start(plain(), receiver.router.clone())
        .await
        .unwrap();
    let mut listening = server.listening();
    let url = format!(
        "http://{}{}",
        server.address(),
        receiver.change_path(room())
    );
    let handshake = |client: Client| client.post(format!("{url}?validationToken=x")).send();
    assert_eq!(handshake(Client::new()).await.unwrap().status(), 200);

    let draining = tokio::spawn(server.drain(Duration::from_millis(300)));
    assert_eq!(*listening.borrow(), Listening::Yes);
    assert_eq!(handshake(Client::new()).await.unwrap().status(), 200);
    let closed = listening.wait_for(|now| *now == Listening::No);
    tokio::time::timeout(PATIENCE, closed)
        .await
        .unwrap()
        .unwrap();
    draining.await.unwrap();
    assert!(handshake(Client::new()).await.is_err());
}

/// Writes a pair for localhost and returns its certificate.
fn write_pair(dir: &Path) -> String {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(dir.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(dir.join("tls.crt"), made.cert.pem()).unwrap();
    made.cert.pem()
}

/// Whether a client that trusts `certificate` only gets through.
async fn accepts(port: u16, certificate: &str) -> bool {
    let root = Certificate::from_pem(certificate.as_bytes()).unwrap();
    let client = Client::builder().tls_certs_only([root]).build().unwrap();
    client
        .get(format!("https://localhost:{port}/"))
        .send()
        .await
        .is_ok()
}

#[tokio::test]
async fn a_new_certificate_is_used_without_restart_and_a_broken_one_never() {
    let dir = tempfile::tempdir().unwrap();
    let first = write_pair(dir.path());
    let socket = Socket {
        tls_dir: Some(dir.path().to_owned()),
        ..plain()
    };
    let receiver = Receiver::new();
    let every = Duration::from_millis(10);
    let server = Server::start_reloading(socket, receiver.router.clone(), every)
        .await
        .unwrap();
    let port = server.address().port();
    assert!(accepts(port, &first).await);

    std::fs::write(dir.path().join("tls.key"), "not a key").unwrap();
    assert!(accepts(port, &first).await);
    let second = write_pair(dir.path());
    let reloaded = async {
        while !accepts(port, &second).await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, reloaded).await.unwrap();
    assert!(!accepts(port, &first).await);

    std::fs::remove_file(dir.path().join("tls.crt")).unwrap();
    assert!(accepts(port, &second).await);
    server.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn a_start_with_a_key_of_another_certificate_says_so() {
    let dir = tempfile::tempdir().unwrap();
    write_pair(dir.path());
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(dir.path().join("tls.crt"), other.cert.pem()).unwrap();
    let socket = Socket {
        tls_dir: Some(dir.path().to_owned()),
        ..plain()
    };
    let error = Server::start(socket, axum::Router::new())
        .await
        .unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        cause.starts_with("the certificate and the key in"),
        "{cause}"
    );
}
