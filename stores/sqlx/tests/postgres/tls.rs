//! A server that is reached by TLS.

use std::error::Error;
use std::time::Duration;

use countersign::IdempotencyStore;
use countersign::store::{Claim, LeaseStatus, conformance};
use countersign_sqlx::{PostgresStore, SqlStoreError, sqlx};

use crate::common::certificates::Certificates;
use crate::common::servers::Server;
use crate::support::{LEASE, RETENTION, acquired};

const PASSWORD: &str = "a-password-that-no-log-may-show";

fn server(certificates: &Certificates) -> Option<Server> {
    let file = |name| certificates.file(name).display().to_string();
    let settings = [
        "ssl=on".to_owned(),
        format!("ssl_cert_file={}", file("server.crt")),
        format!("ssl_key_file={}", file("server.key")),
    ];
    Server::postgres_with(&settings.map(|setting| ["-c".to_owned(), setting]).concat())
}

/// A store by the options of its URL.
async fn store(server: &Server, host: &str, options: &str) -> Result<PostgresStore, SqlStoreError> {
    let url = format!("postgres://postgres:{PASSWORD}@{host}:{}/postgres?{options}", server.port());
    // A handshake takes long on a busy machine.
    let pool = PostgresStore::pool_options().acquire_timeout(Duration::from_secs(60));
    PostgresStore::connect_with(pool, url.parse()?).await
}

async fn is_encrypted(store: &PostgresStore) -> bool {
    let question = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    sqlx::query_scalar(question).fetch_one(store.pool()).await.unwrap()
}

#[tokio::test]
async fn the_urls_options_choose_tls_and_whom_to_trust() {
    let Some(certificates) = Certificates::new() else { return };
    let Some(server) = server(&certificates) else { return };
    let [root, other] = ["root.crt", "other-root.crt"]
        .map(|name| format!("sslrootcert={}", certificates.file(name).display()));

    for (host, options, encrypted) in [
        ("localhost", format!("sslmode=verify-full&{root}"), true),
        ("127.0.0.1", format!("sslmode=verify-ca&{root}"), true),
        // These two trust anybody, also where the URL names a root.
        ("127.0.0.1", format!("sslmode=require&{other}"), true),
        ("127.0.0.1", String::new(), true),
        ("127.0.0.1", "sslmode=disable".to_owned(), false),
    ] {
        let store = store(&server, host, &options).await.unwrap();
        assert_eq!(is_encrypted(&store).await, encrypted, "{options}");
        store.migrate().await.unwrap();
        let lease = acquired(store.claim(&conformance::fresh_key(), LEASE).await.unwrap());
        assert_eq!(store.complete(&lease, RETENTION).await.unwrap(), LeaseStatus::Applied);
        assert_eq!(store.claim(lease.key(), LEASE).await.unwrap(), Claim::Done);
    }

    let Some(plain) = Server::postgres() else { return };
    for (server, host, options, reason) in [
        (&server, "localhost", format!("sslmode=verify-full&{other}"), "UnknownIssuer"),
        (&server, "localhost", "sslmode=verify-full".to_owned(), "UnknownIssuer"),
        (&server, "127.0.0.1", format!("sslmode=verify-full&{root}"), "certificate not valid for name"),
        (&server, "127.0.0.1", format!("sslmode=verify-ca&{other}"), "UnknownIssuer"),
        (&plain, "localhost", format!("sslmode=verify-full&{root}"), "server does not support TLS"),
    ] {
        let error = store(server, host, &options).await.unwrap_err();
        let mut logged = format!("{error:?}");
        let mut cause: Option<&dyn Error> = Some(&error);
        while let Some(error) = cause {
            logged += &format!(" {error}");
            cause = error.source();
        }
        assert!(logged.contains(reason), "{options}: {logged}");
        assert!(!logged.contains(PASSWORD), "{logged}");
    }
}
