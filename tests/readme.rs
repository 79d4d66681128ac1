//! The README, as its readers see it. (Its code is compiled and run with the doc tests.)

#[test]
fn no_line_of_code_is_hidden_from_those_who_read_it_elsewhere() {
    let mut in_code = false;
    let mut blocks = 0;
    for line in include_str!("../README.md").lines() {
        if line.starts_with("```") {
            in_code = line.starts_with("```rust");
            blocks += usize::from(in_code);
        }
        assert!(!(in_code && line.starts_with("# ")), "{line}");
    }
    assert_eq!(blocks, 5);
}

#[test]
fn the_receiver_to_start_from_is_short() {
    let readme = include_str!("../README.md");
    let receiver = readme.split("```rust,no_run\n").nth(1).unwrap().split("```").next().unwrap();
    assert!(receiver.lines().filter(|line| !line.is_empty()).count() <= 25);
}

#[test]
fn the_features_of_the_manifest_are_documented() {
    let manifest = include_str!("../Cargo.toml");
    let features = manifest.split("[features]\n").nth(1).unwrap().split("\n[").next().unwrap();
    let names =
        features.lines().filter_map(|line| Some(line.split_once(" = ")?.0)).filter(|name| *name != "default");
    let mut count = 0;
    for name in names.filter(|name| !name.starts_with('#')) {
        assert!(
            include_str!("../README.md").contains(&format!("| `{name}` |")),
            "{name} is not in the README"
        );
        assert!(
            include_str!("../src/lib.rs").contains(&format!("//! | `{name}` |")),
            "{name} is not in the docs"
        );
        count += 1;
    }
    assert!(count >= 3);
}
