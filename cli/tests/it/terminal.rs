//! What only a terminal shows: colours, and a bar for long work.

use std::io::Write;

use super::receiver::Notes;
use super::send::sending;
use super::support::*;

/// What a command shows on a terminal, and its exit code.
fn shown(arguments: &[&str], variables: &[(&str, &str)]) -> Option<(String, i32)> {
    let mut command = sending(arguments);
    command.envs(variables.iter().copied());
    let ended = run(&mut on_a_terminal(&command)?, b"");
    assert_eq!(ended.err, "");
    Some((ended.out, ended.code))
}

#[test]
fn a_status_has_the_colour_of_what_it_means() {
    for (status, forge, colour, code) in [
        (200, None, 32, 0),
        (401, None, 31, 1),
        (409, None, 33, 1),
        (500, None, 31, 1),
        (401, Some("truncated"), 32, 0),
        (200, Some("truncated"), 31, 1),
        (409, Some("truncated"), 33, 1),
        (500, Some("truncated"), 31, 1),
    ] {
        let (_, address) = Notes::answering(status);
        let to = address.to_string();
        let mut arguments = vec![&*to, "-p", "3qpr"];
        arguments.extend(forge.into_iter().flat_map(|kind| ["--forge", kind]));
        let coloured = format!("\x1b[{colour}m{status}\x1b[0m");
        for (variables, is_coloured) in
            [(&[][..], true), (&[("NO_COLOR", "")], true), (&[("NO_COLOR", "1")], false)]
        {
            let Some((shown, exit_code)) = shown(&arguments, variables) else { return };
            assert_eq!(exit_code, code, "{shown:?}");
            assert!(is_coloured || shown.contains(&format!(" {status} ")), "{shown:?}");
            assert_eq!(shown.contains(&coloured), is_coloured, "{shown:?}");
            assert_eq!(shown.contains('\x1b'), is_coloured, "{shown:?}");
            let is_accepted = forge.is_some() && status == 200;
            assert_eq!(shown.contains("ACCEPTED, although it is forged"), is_accepted, "{shown:?}");
        }
    }
}

#[test]
fn many_deliveries_have_a_bar_that_disappears() {
    let (_, address) = Notes::answering(200);
    let to = address.to_string();
    for (count, is_json, has_bar) in [("19", false, false), ("20", false, true), ("20", true, false)] {
        let mut arguments = vec![&*to, "-p", "3qpr", "--duplicate", count];
        arguments.extend(is_json.then_some("--json"));
        let Some((shown, code)) = shown(&arguments, &[]) else { return };
        assert_eq!(code, 0, "{shown:?}");
        if is_json {
            assert_eq!(shown.matches(r#""status":200"#).count().to_string(), count, "{shown:?}");
        } else {
            assert!(shown.contains(&format!("{count} sent: {count} accepted")), "{shown:?}");
        }
        assert_eq!(shown.contains(&format!(" of {count} answered")), has_bar, "{shown:?}");
        // It counts, and the summary takes its place.
        assert_eq!(shown.contains(" 19 of 20 answered"), has_bar, "{shown:?}");
        let last = shown.rsplit_once("answered").map_or(&*shown, |(_, last)| last);
        assert!(!has_bar || last.contains("\x1b[2K"), "{shown:?}");
    }
}

#[test]
fn a_wait_has_a_bar_that_says_what_for() {
    let (_, address) = Notes::answering(500);
    let to = address.to_string();
    for (scale, more, status) in
        [("100", &[][..], "\x1b[31m500\x1b[0m"), ("2", &["--json"], r#""status":500"#)]
    {
        let arguments = [&[&*to, "-p", "3qpr", "--retry-at", "3", "--time-scale", scale], more].concat();
        let Some((shown, code)) = shown(&arguments, &[]) else { return };
        assert_eq!((shown.matches(status).count(), code), (2, 1), "{shown:?}");
        assert!(!shown.contains("after the first"), "{shown:?}");
    }
    // A long one, until Ctrl-C.
    let command = sending(&[&to, "-p", "3qpr", "--retry-at", "3600"]);
    let Some(mut terminal) = on_a_terminal(&command) else { return };
    let mut child = Running::start(terminal.stdin(std::process::Stdio::piped()));
    let output = child.0.stdout.take().unwrap();
    // It stays open, because the bar is drawn until the end.
    let _output = read_until(output, |shown| shown.contains("try 2 comes 3600 s after the first"));
    child.0.stdin.take().unwrap().write_all(b"\x03").unwrap();
    assert_eq!(until("its end", || child.0.try_wait().unwrap()).code(), Some(130));
}
