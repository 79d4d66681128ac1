//! Where secrets may come from, and where not.

use std::fs;

use super::support::*;

#[test]
fn a_secret_as_an_argument_is_refused_and_not_shown() {
    for arguments in [
        &["sign", "--provider", "3qpr", "--secret", "a-secret-of-mine"][..],
        &["sign", "--provider", "3qpr", "--secret=a-secret-of-mine"],
        &["send", "localhost:1", "--provider", "3qpr", "--previous-secret=a-secret-of-mine"],
        &["sign", "--provider", "quote3d", QUOTE3D],
        &["sign", "--provider", "whsec_a-secret-of-mine"],
        &["whsec_a-secret-of-mine"],
        &["verify", "--provider", "quote3d", "-H", "X-Secret: whsec_a-secret-of-mine"],
        &["send", "http://me:a-secret-of-mine@localhost:1/", "--provider", "3qpr"],
        &["listen", "--forward-to", "http://me:a-secret-of-mine@localhost:1/"],
    ] {
        let ended = run(&mut program(arguments), b"");
        ended.is(2).says("ps");
        assert!(!format!("{ended:?}").contains("a-secret-of-mine"), "{ended:?}");
    }
}

#[test]
fn without_a_secret_it_says_which_to_set() {
    let sign = ["sign", "--provider", "nowtoprint"];
    run(&mut bare(&sign), b"{}").is(2).says("NOWTOPRINT_WEBHOOK_SECRET is not set").says("--env-file");
    run(bare(&sign).env("NOWTOPRINT_WEBHOOK_SECRET", ""), b"{}").is(2).says("is not set");
    run(bare(&sign).env("NOWTOPRINT_WEBHOOK_SECRET", "changeme"), b"{}").is(2).says("shorter than 16 bytes");
    let padded = format!("{NOWTOPRINT}\n");
    run(bare(&sign).env("NOWTOPRINT_WEBHOOK_SECRET", padded), b"{}").is(2).says("white space");
    let previous = ["sign", "--provider", "quote3d", "--previous-secret"];
    run(&mut program(&previous), COMPLETED.as_bytes())
        .is(2)
        .says("QUOTE3D_WEBHOOK_SECRET_PREVIOUS is not set");
}

#[test]
fn a_file_may_hold_the_secret_or_variables() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let expected = format!("x-3qpr-signature: {}", sign(THREEQPR, b"{}"));
    let plain = file("secret", THREEQPR);
    let ended = file("ended", &format!("{THREEQPR}\r\n"));
    let variables = file(
        "env",
        &format!(
            "# ours\nexport THREEQPR_WEBHOOK_SECRET=\"{THREEQPR}\"\nTHREEQPR_WEBHOOK_SECRET_PREVIOUS={PREVIOUS}\n"
        ),
    );
    for (option, path) in [("--secret-file", &plain), ("--secret-file", &ended), ("--env-file", &variables)] {
        run(&mut bare(&["sign", "--provider", "3qpr", option, path]), b"{}").is(0).says(&expected);
    }
    // A file goes before the environment.
    let mut other = bare(&["sign", "--provider", "3qpr", "--env-file", &variables]);
    run(other.env("THREEQPR_WEBHOOK_SECRET", PREVIOUS), b"{}").is(0).says(&expected);
    let previous = ["sign", "--provider", "3qpr", "--previous-secret", "--env-file", &variables];
    run(&mut bare(&previous), b"{}").is(0).says(&sign(PREVIOUS, b"{}"));

    for (option, text, says) in [
        ("--secret-file", "two\nlines".to_owned(), "more than one line"),
        ("--secret-file", "short".to_owned(), "shorter than 16 bytes"),
        ("--secret-file", format!("{THREEQPR}\n\n"), "more than one line"),
        ("--secret-file", format!(" {THREEQPR}"), "white space"),
        ("--env-file", THREEQPR.to_owned(), "line 1: not NAME=value"),
    ] {
        let path = file("bad", &text);
        run(&mut bare(&["sign", "--provider", "3qpr", option, &path]), b"{}").is(2).says(says).says("bad");
    }
    let missing = folder.path().join("missing");
    run(&mut bare(&["sign", "--provider", "3qpr", "--secret-file", missing.to_str().unwrap()]), b"{}")
        .is(2)
        .says("cannot be read");
    run(&mut bare(&["listen", "--secret-file", &plain]), b"").is(2).says("many providers").says("--env-file");
    let both = ["sign", "--provider", "3qpr", "--previous-secret", "--secret-file", &plain];
    run(&mut bare(&both), b"{}").is(2).says("holds one secret only");
}
