//! The page before axe-core, which knows the rules of WCAG that a program can judge.

use std::path::Path;
use std::process::Command;

use super::browser::open;
use super::page::{a_days_work, choose};
use super::receiver::Notes;
use super::support::*;

/// axe-core, which the first call fetches. `None` if npm or its registry cannot be had.
fn axe() -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let installed = Command::new(root.join("checks/axe/install")).status().unwrap();
    match installed.code() {
        Some(0) => {
            let file = root.join("target/axe/node_modules/axe-core/axe.min.js");
            Some(std::fs::read_to_string(file).unwrap())
        }
        Some(75) => {
            eprintln!(
                "axe-core cannot be had for want of npm or its registry: the page was not judged by it"
            );
            None
        }
        code => panic!("checks/axe/install ended with {code:?}"),
    }
}

#[test]
fn axe_finds_nothing_to_complain_about() {
    let Some(axe) = axe() else { return };
    let (_, endpoint) = Notes::start(|count| match count {
        3 => axum::http::StatusCode::NOT_FOUND,
        7 => axum::http::StatusCode::UNAUTHORIZED,
        _ => axum::http::StatusCode::OK,
    });
    let listener = Listener::start(&["--forward-to", &endpoint.to_string()]);
    let Some(mut page) = open(&listener.url("/")) else { return };
    page.eval(&format!("{axe}; true"));
    let judged = "axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }) \
        .then(({ violations, passes }) => ({ passes: passes.length, violations: violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]) }))";
    let states: [(&str, &str); 6] = [
        ("empty", ""),
        ("refused", "7"),
        ("accepted here, refused there", "3"),
        ("accepted", "5"),
        ("nothing matches", "$('filter').value = 'nonsense'; sift()"),
        ("the keys", "$('all').click(); $('help').click()"),
    ];
    for (state, todo) in states {
        match todo.parse() {
            Ok(number) => {
                if page.eval("deliveries.size") == 0 {
                    a_days_work(&listener);
                    page.wait("deliveries.size === 7");
                    page.eval("document.querySelector('.foot').open = true");
                }
                choose(&mut page, number);
            }
            Err(_) => drop(page.eval(&format!("{todo}; 1"))),
        }
        for scheme in ["light", "dark"] {
            page.prefer(&[("prefers-color-scheme", scheme), ("prefers-reduced-motion", "reduce")]);
            for width in [1280, 390] {
                page.size(width, 860);
                page.wait("!dirty.list");
                let found = page.eval(judged);
                assert!(found["passes"].as_u64().unwrap() > 20, "{found}");
                assert_eq!(found["violations"], serde_json::json!([]), "{state}, {scheme}, {width}");
            }
        }
    }
}
