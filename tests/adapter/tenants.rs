//! What holds in every framework of secrets that are looked up for each request.

use std::time::{Duration, SystemTime};

use countersign::Signature;

use crate::client::{Answer, head, request, send};
use crate::common::THREEQPR;
use crate::servers::{Server, tenants_secret};

pub async fn only_a_request_with_a_well_formed_signature_looks_secrets_up(Server { address, app }: Server) {
    let name = "X-3QPR-Signature";
    let path = "/tenants/acme/3qpr";
    let signature = Signature::sign(&tenants_secret("acme"), THREEQPR.as_bytes()).to_string();
    let too_long = "x".repeat((1 << 20) + 1);
    for request in [
        request(path, &[], THREEQPR),
        request(path, &[(name, "sha256=00")], THREEQPR),
        request(path, &[(name, &signature), (name, &signature)], THREEQPR),
        request(path, &[(name, &signature)], &too_long),
    ] {
        assert!([401, 413].contains(&send(address, &request).await.0));
        assert_eq!(app.lookups(), 0);
    }
    send(address, &to_tenant("acme", "acme")).await.is(200, "3qpr@acme:evt_01HXYZSCAN");
    assert_eq!((app.lookups(), app.handled()), (1, 1));
    // That it is wrong is known only after the lookup.
    send(address, &to_tenant("acme", "globex")).await.is_error(401, "signature_mismatch");
    assert_eq!((app.lookups(), app.handled()), (2, 1));
}

fn to_tenant(tenant: &str, signed_by: &str) -> Vec<u8> {
    let signature = Signature::sign(&tenants_secret(signed_by), THREEQPR.as_bytes()).to_string();
    request(&format!("/tenants/{tenant}/3qpr"), &[("X-3QPR-Signature", &signature)], THREEQPR)
}

pub async fn a_tenants_secret_is_good_for_its_own_path(Server { address, app }: Server) {
    for tenant in ["acme", "globex"] {
        // The same event of two tenants has two keys.
        let key = format!("3qpr@{tenant}:evt_01HXYZSCAN");
        send(address, &to_tenant(tenant, tenant)).await.is(200, &key);
    }
    for (tenant, signed_by) in [("acme", "globex"), ("globex", "acme")] {
        send(address, &to_tenant(tenant, signed_by)).await.is_error(401, "signature_mismatch");
    }
    assert_eq!(app.handled(), 2);
}

pub async fn a_tenant_that_does_not_exist_is_answered_like_a_bad_signature(server: Server) {
    let Server { address, app } = server;
    let path = |tenant| format!("/tenants/{tenant}/3qpr");
    let empty_key = "sha256=b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad";
    let mut answers = Vec::new();
    for tenant in ["acme", "nobody"] {
        let mut of_tenant = vec![send(address, &to_tenant(tenant, "globex")).await];
        for headers in [
            &[][..],
            &[("X-3QPR-Signature", "sha256=00")],
            &[("X-3QPR-Signature", empty_key)],
            &[("X-3QPR-Signature", "a"), ("X-3QPR-Signature", "a")],
            &[("X-3QPR-Signature", empty_key), ("Content-Length", "1048577")],
        ] {
            let request = match headers {
                [.., ("Content-Length", _)] => head(&path(tenant), headers).into_bytes(),
                _ => request(&path(tenant), headers, ""),
            };
            of_tenant.push(send(address, &request).await);
        }
        // All but the date, which is the time of the answer.
        answers.push(
            of_tenant
                .into_iter()
                .map(|Answer(status, head, body)| {
                    let head = head.lines().filter(|line| !line.starts_with("date: "));
                    (status, head.collect::<String>(), body)
                })
                .collect::<Vec<_>>(),
        );
    }
    assert_eq!(answers[0], answers[1]);
    let statuses: Vec<_> = answers[0].iter().map(|answer| answer.0).collect();
    assert_eq!(statuses, [401, 401, 401, 401, 401, 413]);
    assert_eq!(app.handled(), 0);
}

pub async fn secrets_that_cannot_be_looked_up_are_503(Server { address, app }: Server) {
    send(address, &to_tenant("outage", "acme")).await.is_error(503, "secret_unavailable");
    assert_eq!(app.handled(), 0);
}

pub async fn a_maximum_age_holds_and_its_end_is_stale(Server { address, app }: Server) {
    let signed = |time: &str| {
        let body = format!(r#"{{"event":"scan.created","id":"evt_1","timestamp":"{time}","data":{{}}}}"#);
        let signature = Signature::sign(&tenants_secret("aging"), body.as_bytes()).to_string();
        request("/tenants/aging/3qpr", &[("X-3QPR-Signature", &signature)], &body)
    };
    let now = humantime::format_rfc3339(SystemTime::now()).to_string();
    let long_ago = humantime::format_rfc3339(SystemTime::now() - Duration::from_secs(3_700)).to_string();
    send(address, &signed(&now)).await.is(200, "3qpr@aging:evt_1");
    send(address, &signed(&long_ago)).await.is_error(400, "stale");
    assert_eq!(app.handled(), 1);
}
