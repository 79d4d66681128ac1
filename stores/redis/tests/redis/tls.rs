//! A server that is reached by TLS.

use std::error::Error;

use countersign::provider::ThreeQpr;
use countersign::store::{Claim, LeaseStatus, conformance};
use countersign::{IdempotencyStore, Receiver, Secret, Webhook};
use countersign_redis::RedisStore;
use countersign_redis::redis::aio::ConnectionManagerConfig;
use countersign_redis::redis::{Client, TlsCertificates};

use crate::common::certificates::Certificates;
use crate::common::servers::{Server, free_port};
use crate::support::{LEASE, RETENTION, claimed};

const PASSWORD: &str = "a-password-that-no-log-may-show";

/// A server, which takes only TLS on the second port.
fn server(certificates: &Certificates) -> Option<(Server, u16)> {
    let port = free_port();
    let file = |name| certificates.file(name).display().to_string();
    let options = [
        ("--tls-port", port.to_string()),
        ("--tls-cert-file", file("server.crt")),
        ("--tls-key-file", file("server.key")),
        ("--tls-ca-cert-file", file("root.crt")),
        ("--tls-auth-clients", "no".to_owned()),
    ];
    let server = Server::redis_with(&options.map(|(name, value)| [name.to_owned(), value]).concat())?;
    server.redis_cli(&["acl", "setuser", "hooks", "on", &format!(">{PASSWORD}"), "~*", "+@all"]);
    Some((server, port))
}

/// A store that trusts this root, or those of the machine. It connects with its first call.
fn store(host: &str, port: u16, root: Option<&[u8]>) -> RedisStore {
    let url = format!("rediss://hooks:{PASSWORD}@{host}:{port}");
    let client = match root {
        Some(root) => {
            Client::build_with_tls(url, TlsCertificates { client_tls: None, root_cert: Some(root.into()) })
        }
        None => Client::open(url),
    };
    let config = ConnectionManagerConfig::new().set_number_of_retries(0);
    RedisStore::new(client.unwrap().get_connection_manager_lazy(config).unwrap())
}

#[tokio::test]
async fn a_store_works_by_tls_and_trusts_no_other_root_and_no_other_name() {
    let Some(certificates) = Certificates::new() else { return };
    let Some((_server, port)) = server(&certificates) else { return };
    let [root, other] =
        ["root.crt", "other-root.crt"].map(|name| std::fs::read(certificates.file(name)).unwrap());
    let store = |host, root: Option<&Vec<u8>>| store(host, port, root.map(Vec::as_slice));
    let trusting = store("localhost", Some(&root));
    let lease = claimed(&trusting, LEASE).await;
    assert_eq!(trusting.complete(&lease, RETENTION).await.unwrap(), LeaseStatus::Applied);
    assert_eq!(trusting.claim(lease.key(), LEASE).await.unwrap(), Claim::Done);

    for (host, root, reason) in [
        ("localhost", Some(&other), "UnknownIssuer"),
        ("localhost", None, "UnknownIssuer"),
        ("127.0.0.1", Some(&root), "certificate not valid for name"),
    ] {
        let store = store(host, root);
        let error = store.claim(&conformance::fresh_key(), LEASE).await.unwrap_err();
        assert_eq!(error.code(), "store_failed");
        let webhook = Webhook::<ThreeQpr>::new(Secret::new("whsec_0123456789abcdef").unwrap()).unwrap();
        let receiver = Receiver::new(webhook, store);
        let body = br#"{"event":"scan.created","id":"evt_1"}"#;
        let headers = crate::common::signed(receiver.webhook(), body);
        let handler = async |_: countersign::Delivery<'_, ThreeQpr>| -> Result<(), String> {
            panic!("the handler ran")
        };
        let outcome = receiver.receive(&headers, body, handler).await;
        assert_eq!((outcome.status(), outcome.code()), (503, "store_unavailable"));
        let mut logged = format!("{outcome:?} {error:?}");
        let mut cause: Option<&dyn Error> = outcome.error().map(|error| error as _);
        while let Some(error) = cause {
            logged += &format!(" {error}");
            cause = error.source();
        }
        assert!(logged.contains(reason), "{logged}");
        assert!(!logged.contains(PASSWORD), "{logged}");
    }
}
