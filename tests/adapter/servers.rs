//! The same endpoints in each framework.
//!
//! | path | what it is |
//! |---|---|
//! | `/quote3d` | a handler of verified deliveries, with a body limit of [`LIMIT`] |
//! | `/3qpr` | the same with the limit that nobody sets, and no look at the event |
//! | `/nowtoprint` | a whole endpoint: secret, store, handler |
//! | `/tenants/{tenant}/3qpr` | secrets that are looked up: of `acme`, `globex`, and `aging`, with a maximum age |

use std::convert::Infallible;
use std::future::ready;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use countersign::provider::{NowToPrint, Quote3d, ThreeQpr};
use countersign::tower::http_body::Body;
use countersign::tower::{Endpoint, Verified, VerifyLayer};
use countersign::{Delivery, Error, MemoryStore, Receiver, Secret, Secrets, Webhook};
use http::{Request, Response};
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt};

use crate::common::webhook;

pub const LIMIT: usize = 2_000;

/// How many keys the receiver's store has room for.
pub const STORE_CAPACITY: usize = 20;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

pub struct App {
    pub quote3d: Webhook<Quote3d>,
    pub threeqpr: Webhook<ThreeQpr>,
    pub receiver: Arc<Receiver<NowToPrint, MemoryStore>>,
    /// How many deliveries reached a handler.
    pub handled: AtomicUsize,
    /// What all tenants have in common: all but the secrets.
    pub tenants: Webhook<ThreeQpr>,
    /// How often a tenant's secrets were looked up.
    pub lookups: AtomicUsize,
}

impl App {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            quote3d: webhook().with_body_limit(LIMIT),
            threeqpr: webhook(),
            receiver: Arc::new(Receiver::new(webhook(), MemoryStore::new().with_capacity(STORE_CAPACITY))),
            handled: AtomicUsize::new(0),
            tenants: Webhook::new(Secrets::reject_all()).unwrap(),
            lookups: AtomicUsize::new(0),
        })
    }

    pub fn handled(&self) -> usize {
        self.handled.load(Ordering::Relaxed)
    }

    pub fn lookups(&self) -> usize {
        self.lookups.load(Ordering::Relaxed)
    }

    fn quote3d(&self, delivery: &Delivery<'_, Quote3d>) -> Result<String, Error> {
        delivery.event()?;
        self.handled.fetch_add(1, Ordering::Relaxed);
        Ok(delivery.idempotency_key().to_string())
    }

    fn threeqpr(&self, delivery: &Delivery<'_, ThreeQpr>) -> String {
        self.handled.fetch_add(1, Ordering::Relaxed);
        delivery.event_name().to_owned()
    }

    async fn nowtoprint(self: Arc<Self>, Verified(delivery): Verified<NowToPrint>) -> Result<(), BoxError> {
        if delivery.data().contains("slow") {
            tokio::time::sleep(Duration::from_secs(600)).await;
        }
        if delivery.data().contains("failing") {
            return Err(io::Error::other("no disk").into());
        }
        self.handled.fetch_add(1, Ordering::Relaxed);
        Ok(delivery.event().map(drop)?)
    }

    /// A tenant's webhook, from a database that has an outage where the tenant's name is `outage`.
    async fn tenant(&self, tenant: &str) -> Result<Webhook<ThreeQpr>, Error> {
        self.lookups.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        let secrets = match tenant {
            "outage" => return Err(Error::secret_unavailable(io::Error::other("no database"))),
            "acme" | "globex" | "aging" => Secrets::new(tenants_secret(tenant)),
            _ => Secrets::reject_all(),
        };
        let webhook = Webhook::new(secrets).unwrap().with_tenant(tenant);
        Ok(if tenant == "aging" { webhook.with_max_age(Duration::from_secs(3_600)) } else { webhook })
    }

    fn of_a_tenant(&self, delivery: &Delivery<'_, ThreeQpr>) -> String {
        self.handled.fetch_add(1, Ordering::Relaxed);
        delivery.idempotency_key().to_string()
    }
}

pub fn tenants_secret(tenant: &str) -> Secret {
    Secret::new(format!("whsec_the-secret-of-{tenant}")).unwrap()
}

/// A server of a framework on a free port, and its state.
pub struct Server {
    pub address: SocketAddr,
    pub app: Arc<App>,
}

pub async fn axum() -> Server {
    use axum::Router;
    use axum::extract::{FromRef, Path, Request, State};
    use axum::routing::{post, post_service};

    #[derive(Clone)]
    struct Shared(Arc<App>);

    impl FromRef<Shared> for Webhook<Quote3d> {
        fn from_ref(shared: &Shared) -> Self {
            shared.0.quote3d.clone()
        }
    }

    impl FromRef<Shared> for Webhook<ThreeQpr> {
        fn from_ref(shared: &Shared) -> Self {
            shared.0.threeqpr.clone()
        }
    }

    async fn tenant(
        State(Shared(app)): State<Shared>,
        Path(tenant): Path<String>,
        request: Request,
    ) -> Result<String, Error> {
        let delivery = app.tenants.verify_request_with(request, async || app.tenant(&tenant).await).await?;
        Ok(app.of_a_tenant(&delivery))
    }

    let app = App::new();
    let shared = Arc::clone(&app);
    let endpoint =
        Endpoint::new(Arc::clone(&app.receiver), move |delivery| Arc::clone(&shared).nowtoprint(delivery));
    let router = Router::new()
        .route(
            "/quote3d",
            post(|State(Shared(app)): State<Shared>, Verified(delivery): Verified<Quote3d>| async move {
                app.quote3d(&delivery)
            }),
        )
        .route(
            "/3qpr",
            post(|State(Shared(app)): State<Shared>, Verified(delivery): Verified<ThreeQpr>| async move {
                app.threeqpr(&delivery)
            }),
        )
        .route("/nowtoprint", post_service(endpoint))
        .route("/tenants/{tenant}/3qpr", post(tenant))
        .with_state(Shared(Arc::clone(&app)));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    Server { address, app }
}

pub async fn actix_web() -> Server {
    use actix_web::{App as Application, HttpRequest, HttpServer, web};
    use countersign::actix_web::{endpoint, verify_request_with};

    async fn quote3d(
        app: web::Data<Arc<App>>,
        Verified(delivery): Verified<Quote3d>,
    ) -> Result<String, Error> {
        app.quote3d(&delivery)
    }

    async fn threeqpr(app: web::Data<Arc<App>>, Verified(delivery): Verified<ThreeQpr>) -> String {
        app.threeqpr(&delivery)
    }

    async fn tenant(
        app: web::Data<Arc<App>>,
        tenant: web::Path<String>,
        request: HttpRequest,
        payload: web::Payload,
    ) -> Result<String, Error> {
        let delivery =
            verify_request_with(&app.tenants, &request, payload, async || app.tenant(&tenant).await).await?;
        Ok(app.of_a_tenant(&delivery))
    }

    let app = App::new();
    let shared = Arc::clone(&app);
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    // Its runtime is its own, which ends with the process.
    std::thread::spawn(move || {
        let server = HttpServer::new(move || {
            let handler = Arc::clone(&shared);
            Application::new()
                .app_data(web::Data::new(Arc::clone(&shared)))
                .app_data(web::Data::new(shared.quote3d.clone()))
                .app_data(web::Data::new(shared.threeqpr.clone()))
                .route("/quote3d", web::post().to(quote3d))
                .route("/3qpr", web::post().to(threeqpr))
                .route(
                    "/nowtoprint",
                    endpoint(Arc::clone(&shared.receiver), move |delivery| {
                        Arc::clone(&handler).nowtoprint(delivery)
                    }),
                )
                .route("/tenants/{tenant}/3qpr", web::post().to(tenant))
        });
        actix_web::rt::System::new().block_on(server.workers(2).listen(listener).unwrap().run()).unwrap();
    });
    Server { address, app }
}

/// hyper and tower, without a framework.
pub async fn hyper() -> Server {
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use hyper_util::server::conn::auto::Builder;
    use hyper_util::service::TowerToHyperService;

    let app = App::new();
    let shared = Arc::clone(&app);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let app = Arc::clone(&shared);
            let routes = tower::service_fn(move |request| route(Arc::clone(&app), request));
            tokio::spawn(async move {
                let server = Builder::new(TokioExecutor::new());
                // A client that hangs up is an error of its connection.
                let _ = server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes)).await;
            });
        }
    });
    Server { address, app }
}

async fn route<B>(app: Arc<App>, request: Request<B>) -> Result<Response<String>, Infallible>
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let path = request.uri().path().to_owned();
    match path.split('/').collect::<Vec<_>>()[..] {
        ["", "quote3d"] => {
            let layer = VerifyLayer::new(app.quote3d.clone());
            let answer = move |request: Request<Verified<Quote3d>>| {
                ready(Ok(app
                    .quote3d(&request.body().0)
                    .map_or_else(|error| error.to_response(), Response::new)))
            };
            layer.layer(tower::service_fn(answer)).oneshot(request).await
        }
        ["", "3qpr"] => {
            let layer = VerifyLayer::new(app.threeqpr.clone());
            let answer = move |request: Request<Verified<ThreeQpr>>| {
                ready(Ok(Response::new(app.threeqpr(&request.body().0))))
            };
            layer.layer(tower::service_fn(answer)).oneshot(request).await
        }
        ["", "nowtoprint"] => {
            let receiver = Arc::clone(&app.receiver);
            let handler = move |delivery| Arc::clone(&app).nowtoprint(delivery);
            Endpoint::new(receiver, handler).oneshot(request).await
        }
        ["", "tenants", tenant, "3qpr"] => {
            let verified = app.tenants.verify_request_with(request, async || app.tenant(tenant).await);
            Ok(match verified.await {
                Ok(delivery) => Response::new(app.of_a_tenant(&delivery)),
                Err(error) => error.to_response(),
            })
        }
        _ => Ok(Response::builder().status(404).body(String::new()).unwrap()),
    }
}
