//! Which secrets are taken, how many at once, and that none is shown.

use countersign::provider::{Quote3d, ThreeQpr};
use countersign::{Secret, SecretError, Secrets, Signature, Verifier};

use crate::common::{NEWEST, OLDER, QUOTE3D, headers, rotating, signed};

#[test]
fn a_delivery_says_which_secret_it_was_signed_with() {
    let webhook = rotating::<ThreeQpr>();
    let body = br#"{"event":"scan.created"}"#;
    let secret = |secret: &str| {
        let signature = Signature::sign(&Secret::new(secret).unwrap(), body).to_string();
        let headers = headers(&[("x-3qpr-signature", &signature)]);
        webhook.verify(&headers, body).map(|delivery| delivery.matched_secret().clone())
    };
    let newest = secret(NEWEST).unwrap();
    assert_eq!((newest.position(), newest.label(), newest.is_newest()), (0, None, true));
    let older = secret(OLDER).unwrap();
    assert_eq!((older.position(), older.label(), older.is_newest()), (1, Some("2025"), false));
    assert!(secret("whsec_another-secret-altogether").is_err());
}

#[test]
fn one_to_eight_secrets_are_valid_at_once() {
    let secret = |n: usize| Secret::new(format!("whsec_secret-number-{n}")).unwrap();
    for count in [0, 1, 2, 8, 9] {
        let secrets = Secrets::try_from((0..count).map(secret).collect::<Vec<_>>());
        match count {
            0 => assert_eq!(secrets.unwrap_err(), SecretError::NoSecret),
            9 => assert_eq!(secrets.unwrap_err(), SecretError::TooMany),
            _ => {
                let verifier = Verifier::new(secrets.unwrap());
                for n in 0..count {
                    let signature = Signature::sign(&secret(n), b"body");
                    assert_eq!(verifier.verify(b"body", &signature).unwrap().position(), n);
                }
                assert!(verifier.verify(b"body", &Signature::sign(&secret(count), b"body")).is_err());
            }
        }
    }
    let mut secrets = Secrets::new(secret(0));
    for n in 1..8 {
        secrets = secrets.with_older(secret(n)).unwrap();
    }
    assert_eq!(secrets.with_older(secret(8)).unwrap_err(), SecretError::TooMany);
}

#[test]
fn a_secret_is_checked_when_it_comes_in() {
    let refused = [
        ("", "secret_too_short"),
        ("undefined", "secret_too_short"),
        ("null", "secret_too_short"),
        ("changeme", "secret_too_short"),
        ("whsec_123456789", "secret_too_short"),
        ("               ", "secret_too_short"),
        ("whsec_0123456789abcdef\n", "secret_padded"),
        ("whsec_0123456789abcdef\r\n", "secret_padded"),
        ("whsec_0123456789abcdef ", "secret_padded"),
        (" whsec_0123456789abcdef", "secret_padded"),
        ("\twhsec_0123456789abcdef", "secret_padded"),
        ("                        ", "secret_padded"),
        ("whsec_0123456789abcdef\u{a0}", "secret_padded"),
        ("\u{2003}whsec_0123456789abcdef", "secret_padded"),
        ("\u{feff}whsec_0123456789abcdef", "secret_padded"),
        ("\"whsec_0123456789abcdef\"", "secret_quoted"),
        ("'whsec_0123456789abcdef'", "secret_quoted"),
        ("`whsec_0123456789abcdef`", "secret_quoted"),
        ("\u{201c}whsec_0123456789abcdef\u{201d}", "secret_quoted"),
        ("your_secret_here", "secret_placeholder"),
        ("your_webhook_secret_here", "secret_placeholder"),
        ("YOUR-WEBHOOK-SECRET", "secret_placeholder"),
        ("<your-secret-key>", "secret_placeholder"),
        ("<webhook secret>", "secret_placeholder"),
        ("${WEBHOOK_SECRET}", "secret_placeholder"),
        ("${WEBHOOK_SECRET:-}", "secret_placeholder"),
        ("$(WEBHOOK_SECRET)", "secret_placeholder"),
        ("{{ webhook.secret }}", "secret_placeholder"),
        ("{{webhookSecret}}", "secret_placeholder"),
        ("[WEBHOOK_SECRET]", "secret_placeholder"),
        ("%WEBHOOK_SECRET%", "secret_placeholder"),
        ("changemechangeme", "secret_placeholder"),
        ("whsec_change_me_please", "secret_placeholder"),
        ("please-replace-me", "secret_placeholder"),
        ("this.is.a.placeholder", "secret_placeholder"),
        ("put the secret here", "secret_placeholder"),
        ("0000000000000000", "secret_placeholder"),
        ("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "secret_placeholder"),
        ("whsec_................", "secret_placeholder"),
        ("****************", "secret_placeholder"),
    ];
    for (value, code) in refused {
        assert_eq!(Secret::new(value).unwrap_err().code(), code, "{value:?}");
    }
    for value in [
        "whsec_ 0123 456789\tabcdef",
        "0123456789abcdef",
        "It's a Secret to Everybody",
        "shown-once-in-the-dashboard",
        "000000000000000f",
        "'0123456789abcdef",
        "<$%0123456789abc>",
        "\u{e9}\u{1f980} as any text is",
    ] {
        assert!(Secret::new(value).is_ok(), "{value:?}");
    }
    // A binary key is any bytes.
    let keys: [&[u8]; 7] = [
        b"\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8\xf7\xf6\xf5\xf4\xf3\xf2\xf1\xf0",
        b" 123456789abcde\n",
        b"\xff\xfe whsec_0123456789abcdef\n",
        b"                ",
        &[0x0b; 20],
        &[0xaa; 131],
        &[7; 100_000],
    ];
    for key in keys {
        assert!(Secret::from_bytes(key).is_ok(), "{key:?}");
    }
    assert_eq!(Secret::from_bytes(b"\xff\xfe\xff\xfe").unwrap_err().code(), "secret_too_short");
    assert_eq!(Secret::from_bytes([0; 32]).unwrap_err().code(), "secret_placeholder");
    assert!(Secret::dangerously_allow_short("short").is_ok());
    assert_eq!(Secret::dangerously_allow_short("").unwrap_err().code(), "secret_too_short");
    assert_eq!(Secret::dangerously_allow_short("short\n").unwrap_err().code(), "secret_padded");
}

/// As providers make them: 100,000 random ones in hex, in Base64, as passwords and as bytes.
#[test]
fn no_random_secret_is_refused() {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    let mut random = fastrand::Rng::with_seed(0x5ec2e7);
    for length in [16, 24, 32].into_iter().cycle().take(100_000 / 8) {
        let mut key = vec![0; length];
        random.fill(&mut key);
        for text in [hex::encode(&key), STANDARD.encode(&key), URL_SAFE_NO_PAD.encode(&key)] {
            for prefix in ["", "whsec_"] {
                let text = format!("{prefix}{text}");
                assert!(Secret::new(text.as_str()).is_ok(), "{text}");
            }
        }
        let password: String = (0..length).map(|_| char::from(random.u8(b'!'..=b'~'))).collect();
        assert!(Secret::new(password.as_str()).is_ok(), "{password}");
        assert!(Secret::from_bytes(key.as_slice()).is_ok(), "{key:?}");
    }
}

#[test]
fn no_debug_shows_a_secret_or_a_tag() {
    let webhook = rotating::<Quote3d>();
    let body = QUOTE3D.as_bytes();
    let signature: Signature = webhook.sign(body).parse().unwrap();
    let tag = signature.to_string().split_off(7);
    let headers = signed(&webhook, body);
    let secrets = Secrets::new(Secret::new(NEWEST).unwrap()).with_older(Secret::new(OLDER).unwrap()).unwrap();
    let verifier = Verifier::new(secrets.clone());
    let receiver = countersign::Receiver::new(webhook.clone(), countersign::MemoryStore::new());
    let shown = [
        format!("{:?}", Secret::new(NEWEST).unwrap()),
        format!("{secrets:?}"),
        format!("{signature:?}"),
        format!("{verifier:?}"),
        format!("{:?}", verifier.begin(signature)),
        format!("{:?}", webhook.begin(&headers).unwrap()),
        format!("{webhook:?}"),
        format!("{receiver:?}"),
        format!("{:?}", webhook.verify(&headers, body).unwrap()),
        format!("{:?}", webhook.verify(&headers, body).unwrap().matched_secret()),
        format!("{:?}", webhook.verify(&headers, b"{}").unwrap_err()),
        format!("{:?}", Secret::new(format!("{NEWEST}\n")).unwrap_err()),
        format!("{:#?}", (Secret::new("not-long-enough").unwrap_err(), &webhook, &receiver)),
    ];
    let shown = shown.into_iter().chain([
        webhook.verify(&headers, b"{}").unwrap_err().to_string(),
        Secret::new(format!("{NEWEST}\n")).unwrap_err().to_string(),
        Secret::new("not-long-enough").unwrap_err().to_string(),
    ]);
    let bytes = |text: &str| format!("{:?}", text.as_bytes()).trim_matches(['[', ']']).to_owned();
    for text in shown {
        for secret in [NEWEST, OLDER, "not-long-enough", &tag] {
            assert!(!text.contains(secret), "{text}");
            assert!(!text.contains(&bytes(secret)), "{text}");
        }
    }
}
