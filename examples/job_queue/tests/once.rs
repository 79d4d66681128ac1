//! One event is one job, on a real server that the test starts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use countersign::provider::NowToPrint;
use countersign::{Secret, Webhook};
use countersign_sqlx::PostgresStore;
use countersign_sqlx::sqlx::{self, PgPool, query_scalar};
use graphile_worker::JobComplete;
use job_queue::{Inbox, worker};
use tower::ServiceExt;

// The crate's own tests start their servers with it; Redis is not needed here.
#[allow(dead_code)]
#[path = "../../../tests/common/servers.rs"]
mod servers;

const BODY: &str = r#"{"id":"evt_1","event":"quote.received","data":{"rfqId":"rfq_1","quoteId":"quote_1"}}"#;

/// Fails a transaction at the last moment: when it commits, with the key and the job written.
const REFUSE_TO_COMMIT: &str = "
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$;
    CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON countersign_keys
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()";

struct Service {
    webhook: Webhook<NowToPrint>,
    pool: PgPool,
    router: Router,
}

impl Service {
    async fn start(server: &servers::Server) -> Self {
        let store = PostgresStore::connect(&server.url()).await.unwrap();
        let pool = store.pool().clone();
        let webhook = Webhook::<NowToPrint>::new(Secret::new("whsec_0123456789abcdef").unwrap()).unwrap();
        let router = Inbox::new(webhook.clone(), store).await.unwrap().router();
        Self { webhook, pool, router }
    }

    async fn deliver(&self) -> StatusCode {
        let mut request = Request::post("/webhooks/nowtoprint").body(Body::from(BODY)).unwrap();
        request.headers_mut().extend(self.webhook.signed_headers(BODY.as_bytes()));
        self.router.clone().oneshot(request).await.unwrap().status()
    }

    /// How many keys there are, and how many jobs.
    async fn stored(&self) -> (i64, i64) {
        let keys = query_scalar("SELECT count(*) FROM countersign_keys").fetch_one(&self.pool);
        let jobs = query_scalar("SELECT count(*) FROM graphile_worker.jobs").fetch_one(&self.pool);
        (keys.await.unwrap(), jobs.await.unwrap())
    }

    /// Works off what is queued, and says how many jobs that was.
    async fn work(&self) -> usize {
        let done = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&done);
        let count = move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
            std::future::ready(())
        };
        worker(&self.pool).on(JobComplete, count).init().await.unwrap().run_once().await.unwrap();
        done.load(Ordering::Relaxed)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_deliveries_at_once_are_one_job() {
    let Some(server) = servers::Server::postgres() else { return };
    let service = Service::start(&server).await;

    let answers = tokio::join!(service.deliver(), service.deliver());
    // One is a duplicate, or comes while the other is under way: then the provider sends it again.
    let [ok, conflict] = [StatusCode::OK, StatusCode::CONFLICT];
    assert!([(ok, ok), (ok, conflict), (conflict, ok)].contains(&answers), "{answers:?}");
    assert_eq!(service.stored().await, (1, 1));
    assert_eq!(service.work().await, 1);

    assert_eq!(service.deliver().await, StatusCode::OK);
    assert_eq!(service.stored().await, (1, 0), "worked off, and not queued again");
    assert_eq!(service.work().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_fails_leaves_neither_key_nor_job() {
    let Some(server) = servers::Server::postgres() else { return };
    let service = Service::start(&server).await;

    sqlx::raw_sql(REFUSE_TO_COMMIT).execute(&service.pool).await.unwrap();
    assert_eq!(service.deliver().await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(service.stored().await, (0, 0));
    assert_eq!(service.work().await, 0);

    sqlx::raw_sql("DROP FUNCTION refuse CASCADE").execute(&service.pool).await.unwrap();
    assert_eq!(service.deliver().await, StatusCode::OK, "the provider's retry");
    assert_eq!(service.stored().await, (1, 1));
    assert_eq!(service.work().await, 1);
}
