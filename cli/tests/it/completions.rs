//! `countersign completions`, `--help` and `--version`.

use super::support::{bare, run};

#[test]
fn each_shell_has_its_completions() {
    for (shell, word) in
        [("bash", "complete -F"), ("zsh", "#compdef countersign"), ("fish", "complete -c countersign")]
    {
        run(&mut bare(&["completions", shell]), b"").is(0).says(word).says("forge").says("standard-webhooks");
    }
    run(&mut bare(&["completions", "cobol"]), b"").is(2);
}

/// A shell that reads it takes no offence.
#[test]
fn bash_reads_its_completions() {
    let script = run(&mut bare(&["completions", "bash"]), b"").out;
    let check = std::process::Command::new("bash").args(["-n", "-c", &script]).output().unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
}

#[test]
fn help_teaches_by_example_and_names_the_exit_codes() {
    for command in ["sign", "send", "verify", "listen", "types", "providers", "provider", "completions"] {
        run(&mut bare(&[command, "--help"]), b"")
            .is(0)
            .says("Examples:")
            .says(&format!("countersign {command}"));
    }
    for command in ["send", "verify", "listen"] {
        run(&mut bare(&[command, "--help"]), b"").says("Exit codes:");
    }
    run(&mut bare(&["--help"]), b"").is(0).says("QUOTE3D_WEBHOOK_SECRET").says("Exit codes:");
    run(&mut bare(&["--version"]), b"").is(0).says(concat!("countersign ", env!("CARGO_PKG_VERSION")));
    run(&mut bare(&[]), b"").is(2).says("Usage:");
    run(&mut bare(&["sing"]), b"").is(2).says("sign");
}

/// What a pipe's reader does not want is not written, and nothing is said about it.
#[test]
fn a_closed_pipe_ends_it_quietly() {
    for arguments in [&["completions", "bash"][..], &["providers"], &["providers", "--json"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ended = bare(arguments).stdout(writer).output().unwrap();
        assert_eq!((ended.status.code(), &*String::from_utf8_lossy(&ended.stderr)), (Some(141), ""));
    }
}
