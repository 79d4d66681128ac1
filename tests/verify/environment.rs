//! Secrets from the environment. A process's own environment cannot be changed safely, so each case
//! runs in a process of its own.

use std::ffi::OsString;
use std::process::Command;

use countersign::provider::{StandardWebhooks, ThreeQpr};
use countersign::{Secret, Secrets, Signature, Webhook};
use http::{HeaderMap, HeaderValue};

const NEWEST: &str = "whsec_the-newest-secret";
const OLDER: &str = "whsec_the-older-secret";

/// What a process with these variables says of its secrets; run by name, it prints that.
#[test]
fn child() {
    if std::env::var_os("COUNTERSIGN_CHILD").is_none() {
        return;
    }
    let said = match Secrets::from_env("HOOK") {
        Err(error) => format!("{} {error} {error:?}", error.code()),
        Ok(secrets) => {
            let webhook = Webhook::<ThreeQpr>::new(secrets).unwrap();
            let body = br#"{"event":"scan.created"}"#;
            let labels = [NEWEST, OLDER].map(|secret| {
                let signature = Signature::sign(&Secret::new(secret).unwrap(), body).to_string();
                let mut headers = HeaderMap::new();
                headers.insert("x-3qpr-signature", HeaderValue::from_str(&signature).unwrap());
                let verdict = webhook.verify(&headers, body);
                verdict.map_or("none".to_owned(), |delivery| {
                    delivery.matched_secret().label().unwrap().to_owned()
                })
            });
            labels.join(" ")
        }
    };
    println!("said: {said}");
}

fn say(variables: &[(&str, OsString)]) -> String {
    said_by("environment::child", variables)
}

fn said_by(child: &str, variables: &[(&str, OsString)]) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", child, "--nocapture"]).env("COUNTERSIGN_CHILD", "1");
    command.env_remove("HOOK").env_remove("HOOK_PREVIOUS").envs(variables.iter().cloned());
    let output = command.output().unwrap();
    let output = [output.stdout, output.stderr].concat();
    let output = String::from_utf8_lossy(&output).into_owned();
    assert!(!output.replace("`whsec_`", "").contains("whsec"), "the secret is shown");
    output.lines().find_map(|line| Some(line.split_once("said: ")?.1.to_owned())).expect("the child spoke")
}

#[test]
fn the_newest_and_the_previous_secret_are_read_and_labelled() {
    assert_eq!(say(&[("HOOK", NEWEST.into())]), "HOOK none");
    assert_eq!(say(&[("HOOK", NEWEST.into()), ("HOOK_PREVIOUS", OLDER.into())]), "HOOK HOOK_PREVIOUS");
    assert_eq!(say(&[("HOOK", NEWEST.into()), ("HOOK_PREVIOUS", "".into())]), "HOOK none");
}

#[test]
fn a_bad_value_is_an_error_that_names_the_variable_and_not_the_value() {
    let cases: [(&[(&str, OsString)], &str); 9] = [
        (&[], r#"secret_unset HOOK is not set Unset { variable: "HOOK" }"#),
        (&[("HOOK_PREVIOUS", OLDER.into())], r#"secret_unset HOOK is not set Unset { variable: "HOOK" }"#),
        (
            &[("HOOK", "".into())],
            r#"secret_too_short the secret in HOOK is shorter than 16 bytes TooShort { variable: Some("HOOK"), label: None, is_decoded: false }"#,
        ),
        (
            &[("HOOK", "whsec_short".into())],
            r#"secret_too_short the secret in HOOK is shorter than 16 bytes TooShort { variable: Some("HOOK"), label: None, is_decoded: false }"#,
        ),
        (
            &[("HOOK", format!("{NEWEST}\n").into())],
            r#"secret_padded the secret in HOOK begins or ends with white space or a byte order mark Padded { variable: Some("HOOK") }"#,
        ),
        (
            &[("HOOK", NEWEST.into()), ("HOOK_PREVIOUS", "whsec_short".into())],
            r#"secret_too_short the secret in HOOK_PREVIOUS is shorter than 16 bytes TooShort { variable: Some("HOOK_PREVIOUS"), label: None, is_decoded: false }"#,
        ),
        (
            &[("HOOK", NEWEST.into()), ("HOOK_PREVIOUS", format!(" {OLDER}").into())],
            r#"secret_padded the secret in HOOK_PREVIOUS begins or ends with white space or a byte order mark Padded { variable: Some("HOOK_PREVIOUS") }"#,
        ),
        (
            &[("HOOK", format!("\"{NEWEST}\"").into())],
            r#"secret_quoted the secret in HOOK is in quotation marks Quoted { variable: Some("HOOK") }"#,
        ),
        (
            &[("HOOK", "whsec_changeme_changeme".into())],
            r#"secret_placeholder the secret in HOOK is a placeholder, not one that a provider issued Placeholder { variable: Some("HOOK"), label: None }"#,
        ),
    ];
    for (variables, expected) in cases {
        assert_eq!(say(variables), expected);
    }
}

/// What a process says of a secret whose scheme decodes it; run by name, it prints that.
#[test]
fn child_that_decodes() {
    if std::env::var_os("COUNTERSIGN_CHILD").is_some() {
        let secret = Secret::from_env("HOOK").unwrap();
        let relabelled = secret.clone().with_label("2026-03");
        let [said, again] =
            [secret, relabelled].map(|secret| Webhook::<StandardWebhooks>::new(secret).unwrap_err());
        assert_eq!(said, again);
        println!("said: {said}");
    }
}

#[test]
fn a_value_that_spells_no_key_is_an_error_that_names_the_variable() {
    for (value, expected) in [
        (
            "whsec_not base64 at all",
            "the secret in HOOK is not in base64, with or without `whsec_`, as the provider's scheme expects",
        ),
        ("whsec_AAECAwQFBgcICQoLDA0O", "the key decoded from the secret in HOOK is shorter than 16 bytes"),
    ] {
        assert_eq!(said_by("environment::child_that_decodes", &[("HOOK", value.into())]), expected);
    }
}

#[cfg(unix)]
#[test]
fn a_value_that_is_not_unicode_is_an_error_that_does_not_show_it() {
    use std::os::unix::ffi::OsStringExt;

    let value = OsString::from_vec(b"whsec_0123456789abcdef\xff".to_vec());
    let expected = r#"secret_not_unicode the secret in HOOK is not Unicode NotUnicode { variable: "HOOK" }"#;
    assert_eq!(say(&[("HOOK", value)]), expected);
}
