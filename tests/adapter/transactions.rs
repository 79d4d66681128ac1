//! The one-commit form in each framework: an endpoint, and a handler of one's own.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::routing::{post, post_service};
use countersign::provider::ThreeQpr;
use countersign::tower::{Endpoint, Verified};
use countersign::{Delivery, Outcome, Receiver};
use countersign_sqlx::{SqliteStore, SqliteTransaction, sqlx};
use http::Request;
use tempfile::TempDir;
use tower::ServiceExt;

use crate::common::webhook;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Scans = Arc<Receiver<ThreeQpr, SqliteStore>>;

async fn scans(directory: &TempDir, name: &str) -> Scans {
    let store = SqliteStore::open(directory.path().join(name)).await.unwrap();
    sqlx::raw_sql("CREATE TABLE effects (event TEXT)").execute(store.pool()).await.unwrap();
    Arc::new(Receiver::new(webhook(), store))
}

async fn effects(scans: &Scans) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM effects").fetch_one(scans.store().pool()).await.unwrap()
}

/// Has an effect, and fails after it if the event says so.
async fn handle(
    delivery: Delivery<'_, ThreeQpr>,
    mut transaction: SqliteTransaction,
) -> Result<SqliteTransaction, BoxError> {
    let insert = sqlx::query("INSERT INTO effects VALUES (?1)").bind(delivery.event_name());
    insert.execute(&mut *transaction).await?;
    match delivery.data() {
        "1" => Err("no".into()),
        "2" => Err(countersign_sqlx::SqlStoreError::from(sqlx::Error::WorkerCrashed).into()),
        "3" => sqlx::raw_sql("ROLLBACK")
            .execute(&mut *transaction)
            .await
            .map(|_| transaction)
            .map_err(Into::into),
        _ => Ok(transaction),
    }
}

async fn handle_verified(
    Verified(delivery): Verified<ThreeQpr>,
    transaction: SqliteTransaction,
) -> Result<SqliteTransaction, BoxError> {
    handle(delivery, transaction).await
}

async fn of_axum(State(scans): State<Scans>, Verified(delivery): Verified<ThreeQpr>) -> Outcome {
    scans.handle_in_transaction(delivery, handle).await
}

async fn of_actix_web(
    scans: actix_web::web::Data<Receiver<ThreeQpr, SqliteStore>>,
    Verified(delivery): Verified<ThreeQpr>,
) -> Outcome {
    scans.handle_in_transaction(delivery, handle).await
}

/// Each delivery's body, and its answer; `true` if it has a signature.
const DELIVERIES: [(&str, bool, u16, &str); 7] = [
    (r#"{"event":"scan.created","id":"1"}"#, false, 401, r#"{"error":"missing_signature"}"#),
    (r#"{"event":"scan.created","id":"1","data":1}"#, true, 500, r#"{"error":"handler_failed"}"#),
    (r#"{"event":"scan.created","id":"1","data":2}"#, true, 503, r#"{"error":"store_unavailable"}"#),
    (r#"{"event":"scan.created","id":"1","data":3}"#, true, 503, r#"{"error":"store_unavailable"}"#),
    (r#"{"event":"scan.created","id":"1"}"#, true, 200, ""),
    (r#"{"event":"scan.created","id":"1"}"#, true, 200, ""),
    (r#"{"event":"scan.created","id":"2"}"#, true, 200, ""),
];

fn signature(body: &str, is_signed: bool) -> Option<String> {
    is_signed.then(|| webhook::<ThreeQpr>().sign(body.as_bytes()).to_string())
}

#[tokio::test]
async fn in_axum_each_delivery_is_one_transaction() {
    let directory = tempfile::tempdir().unwrap();
    let [endpoint, extractor] = [scans(&directory, "a.db").await, scans(&directory, "b.db").await];
    let app = axum::Router::new()
        .route("/endpoint", post_service(Endpoint::in_transaction(Arc::clone(&endpoint), handle_verified)))
        .route("/extractor", post(of_axum).with_state(Arc::clone(&extractor)));
    for (path, scans) in [("/endpoint", endpoint), ("/extractor", extractor)] {
        for (body, is_signed, status, answer) in DELIVERIES {
            let mut request = Request::post(path);
            if let Some(signature) = signature(body, is_signed) {
                request = request.header("x-3qpr-signature", signature);
            }
            let response = app.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
            assert_eq!(response.status(), status, "{path} {body}");
            let found = axum::body::to_bytes(response.into_body(), 100).await.unwrap();
            assert_eq!(found, answer, "{path} {body}");
        }
        assert_eq!(effects(&scans).await, 2, "{path}");
    }
}

#[tokio::test]
async fn in_actix_web_each_delivery_is_one_transaction() {
    use actix_web::{App, test, web};
    use countersign::actix_web::endpoint_in_transaction;

    let directory = tempfile::tempdir().unwrap();
    let [endpoint, extractor] = [scans(&directory, "a.db").await, scans(&directory, "b.db").await];
    let app = App::new()
        .app_data(web::Data::new(webhook::<ThreeQpr>()))
        .app_data(web::Data::from(Arc::clone(&extractor)))
        .route("/endpoint", endpoint_in_transaction(Arc::clone(&endpoint), handle_verified))
        .route("/extractor", web::post().to(of_actix_web));
    let app = test::init_service(app).await;
    for (path, scans) in [("/endpoint", endpoint), ("/extractor", extractor)] {
        for (body, is_signed, status, answer) in DELIVERIES {
            let mut request = test::TestRequest::post().uri(path).set_payload(body);
            if let Some(signature) = signature(body, is_signed) {
                request = request.insert_header(("x-3qpr-signature", signature));
            }
            let response = test::call_service(&app, request.to_request()).await;
            assert_eq!(response.status().as_u16(), status, "{path} {body}");
            assert_eq!(test::read_body(response).await, answer, "{path} {body}");
        }
        assert_eq!(effects(&scans).await, 2, "{path}");
    }
}

/// A worker of actix-web is one thread, so that a handler there may hold what is not `Send`.
#[tokio::test]
async fn a_handler_of_actix_web_need_not_be_send() {
    use actix_web::{App, test};

    let directory = tempfile::tempdir().unwrap();
    let scans = scans(&directory, "webhooks.db").await;
    let handler = |_: Verified<ThreeQpr>, transaction: SqliteTransaction| async {
        let local = std::rc::Rc::new(());
        tokio::task::yield_now().await;
        drop(local);
        Ok::<_, BoxError>(transaction)
    };
    let route = countersign::actix_web::endpoint_in_transaction(scans, handler);
    let app = test::init_service(App::new().route("/", route)).await;
    let body = r#"{"event":"scan.created","id":"1"}"#;
    let request = test::TestRequest::post().set_payload(body);
    let request = request.insert_header(("x-3qpr-signature", signature(body, true).unwrap()));
    assert_eq!(test::call_service(&app, request.to_request()).await.status(), 200);
}
