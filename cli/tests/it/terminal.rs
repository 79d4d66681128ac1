//! What people see on a terminal, and no program that reads the output: colours, and a bar for what takes long.

use std::io::{Read, Write};

use super::receiver::Notes;
use super::send::sending;
use super::support::*;

/// What a command shows on a terminal.
fn shown(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let mut command = sending(arguments);
    command.envs(variables.iter().copied());
    let mut terminal = on_a_terminal(&command);
    let ended = run(&mut terminal, b"");
    assert_eq!(ended.err, "");
    ended.out
}

#[test]
fn a_status_has_the_colour_of_what_it_means() {
    for (status, forge, colour) in [
        (200, None, 32),
        (401, None, 31),
        (409, None, 33),
        (500, None, 31),
        (401, Some("truncated"), 32),
        (200, Some("truncated"), 31),
        (409, Some("truncated"), 33),
        (500, Some("truncated"), 31),
    ] {
        let (_, address) = Notes::answering(status);
        let to = address.to_string();
        let mut arguments = vec![&*to, "-p", "3qpr"];
        arguments.extend(forge.into_iter().flat_map(|kind| ["--forge", kind]));
        let coloured = format!("\x1b[{colour}m{status}\x1b[0m");
        for (variables, is_coloured) in
            [(&[][..], true), (&[("NO_COLOR", "")], true), (&[("NO_COLOR", "1")], false)]
        {
            let shown = shown(&arguments, variables);
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
        let shown = shown(&arguments, &[]);
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
    for (scale, more) in [("100", &[][..]), ("2", &["--json"])] {
        let arguments = [&[&*to, "-p", "3qpr", "--retry-at", "3", "--time-scale", scale], more].concat();
        let shown = shown(&arguments, &[]);
        assert!(!shown.contains("after the first"), "{shown:?}");
    }
    // A long one, until Ctrl-C.
    let command = sending(&[&to, "-p", "3qpr", "--retry-at", "3600"]);
    let mut child = Running::start(on_a_terminal(&command).stdin(std::process::Stdio::piped()));
    let mut output = child.0.stdout.take().unwrap();
    let (mut shown, mut read) = (String::new(), [0; 4_096]);
    while !shown.contains("try 2 comes 3600 s after the first") {
        let length = output.read(&mut read).unwrap();
        assert_ne!(length, 0, "{shown:?}");
        shown += &String::from_utf8_lossy(&read[..length]);
    }
    child.0.stdin.take().unwrap().write_all(b"\x03").unwrap();
    assert_eq!(until("its end", || child.0.try_wait().unwrap()).code(), Some(130));
}
