//! The function as Lambda runs it: the program asks a runtime API for events over HTTP, and posts its
//! answers there. The test serves that API.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign::{Secret, Signature};
use serde_json::{Value, json};
use tiny_http::{Header, Method, Request, Response, Server};

// The crate's own tests start their servers with it; PostgreSQL is not needed here.
#[allow(dead_code)]
#[path = "../../../tests/common/servers.rs"]
mod servers;

/// That of `event.json`.
const SECRET: &str = "whsec_only-to-try-this";

/// Long enough for any machine: what takes longer never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// An instance of the function, and the runtime API that it was started with.
struct Instance {
    api: Server,
    child: Child,
}

impl Instance {
    fn start(redis: &servers::Server) -> Self {
        let api = Server::http("127.0.0.1:0").unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_lambda"))
            .env("AWS_LAMBDA_RUNTIME_API", api.server_addr().to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "lambda")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("QUOTE3D_WEBHOOK_SECRET", SECRET)
            .env("REDIS_URL", redis.url())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self { api, child }
    }

    /// The next request of the function to its runtime.
    fn request(&self, method: &Method, path: &str) -> Request {
        let request = self.api.recv_timeout(PATIENCE).unwrap().expect("a request of the function");
        assert_eq!((request.method(), request.url()), (method, path));
        request
    }

    /// The function's answer to an event: the status, and the body.
    fn invoke(&self, event: &Value) -> (u64, String) {
        let next = self.request(&Method::Get, "/2018-06-01/runtime/invocation/next");
        let mut response = Response::from_data(event.to_string());
        for (name, value) in [
            ("Content-Type", "application/json"),
            ("Lambda-Runtime-Aws-Request-Id", "invocation-1"),
            ("Lambda-Runtime-Deadline-Ms", "9999999999999"),
            ("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:123456789012:function:lambda"),
        ] {
            response.add_header(Header::from_bytes(name, value).unwrap());
        }
        next.respond(response).unwrap();

        let path = "/2018-06-01/runtime/invocation/invocation-1/response";
        let mut answered = self.request(&Method::Post, path);
        let answer: Value = serde_json::from_reader(answered.as_reader()).unwrap();
        answered.respond(Response::empty(202)).unwrap();
        assert_ne!(answer["isBase64Encoded"], true, "{answer}");
        let body = answer["body"].as_str().unwrap_or_default().to_owned();
        (answer["statusCode"].as_u64().unwrap(), body)
    }

    /// What it has printed, until it is ended here, as Lambda does without a word.
    fn killed(mut self) -> String {
        // It waits for more to do: all answers are out.
        let _next = self.request(&Method::Get, "/2018-06-01/runtime/invocation/next");
        self.child.kill().unwrap();
        std::io::read_to_string(self.child.stdout.take().unwrap()).unwrap()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // Its only error is that the process has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The event in `event.json`.
fn documented() -> Value {
    serde_json::from_str(include_str!("../event.json")).unwrap()
}

/// An event with another body, signed with this secret.
fn event(body: &str, secret: &str) -> Value {
    let mut event = documented();
    event["body"] = json!(body);
    let signature = Signature::sign(&Secret::new(secret).unwrap(), body.as_bytes()).to_string();
    event["headers"]["x-webhook-signature"] = json!(signature);
    event["headers"]["content-length"] = json!(body.len().to_string());
    event
}

fn refusal(status: u64, code: &str) -> (u64, String) {
    (status, format!(r#"{{"error":"{code}"}}"#))
}

#[test]
fn an_event_is_handled_once_by_all_instances() {
    let Some(redis) = servers::Server::redis() else { return };
    let acknowledged = (200, String::new());
    let body = documented()["body"].as_str().unwrap().replace("job_01HXYZ123456789", "job_2");
    let mut encoded = event(&body, SECRET);
    encoded["body"] = json!(STANDARD.encode(&body));
    encoded["isBase64Encoded"] = json!(true);

    let instance = Instance::start(&redis);
    assert_eq!(instance.invoke(&documented()), acknowledged);
    assert_eq!(instance.invoke(&documented()), acknowledged, "a duplicate");
    assert_eq!(instance.invoke(&encoded), acknowledged);
    assert_eq!(instance.invoke(&event(&body, SECRET)), acknowledged, "a duplicate in plain text");
    assert_eq!(instance.killed(), "\"job_01HXYZ123456789\" costs 25.5\n\"job_2\" costs 25.5\n");

    let next = Instance::start(&redis);
    assert_eq!(next.invoke(&documented()), acknowledged, "a duplicate at another instance");
    assert_eq!(next.killed(), "");
}

#[test]
fn what_is_not_the_providers_is_refused() {
    let Some(mut redis) = servers::Server::redis() else { return };
    let instance = Instance::start(&redis);
    let body = documented()["body"].as_str().unwrap().to_owned();

    let mut forged = documented();
    forged["body"] = json!(body.replace("25.5", "0.5"));
    assert_eq!(instance.invoke(&forged), refusal(401, "signature_mismatch"));
    let other = event(&body, "whsec_the-secret-of-another");
    assert_eq!(instance.invoke(&other), refusal(401, "signature_mismatch"));
    let mut unsigned = documented();
    unsigned["headers"].as_object_mut().unwrap().remove("x-webhook-signature");
    assert_eq!(instance.invoke(&unsigned), refusal(401, "missing_signature"));
    // This is how Lambda hands over a header that is repeated.
    let mut twice = documented();
    let signature = documented()["headers"]["x-webhook-signature"].as_str().unwrap().to_owned();
    twice["headers"]["x-webhook-signature"] = json!(format!("{signature},{signature}"));
    assert_eq!(instance.invoke(&twice), refusal(401, "malformed_signature"));
    assert_eq!(instance.invoke(&event(&"x".repeat((1 << 20) + 1), SECRET)), refusal(413, "body_too_large"));

    // Without the store nothing is acknowledged, and nothing is handled.
    redis.stop();
    assert_eq!(instance.invoke(&documented()), refusal(503, "store_unavailable"));
    assert_eq!(instance.killed(), "");
}
