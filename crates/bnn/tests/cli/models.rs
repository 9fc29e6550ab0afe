//! Model files that are damaged, of older versions, or made to do harm.

use std::fs;

use crate::desk::Desk;

/// A model of version 1, which has no checksum.
const VERSION_1: &[u8] = include_bytes!("../../../bnn-core/tests/version1/model.safetensors");

/// What a command prints to standard error.
fn errors(desk: &Desk, line: &str) -> String {
    String::from_utf8(desk.bnn(line).output().unwrap().stderr).unwrap()
}

fn model(desk: &Desk) -> Vec<u8> {
    desk.works("train tiny.toml --out run");
    fs::read(desk.0.path().join("run/model.safetensors")).unwrap()
}

#[test]
fn a_model_without_a_checksum_is_read_and_told_of_once() {
    let desk = Desk::new();
    desk.write("old.safetensors", VERSION_1);
    assert!(desk.works("inspect old.safetensors").contains("output"));
    let note = "note: old.safetensors was written by an older version of bnn and has no checksum: \
                damage to it can pass unnoticed\n";
    for line in ["inspect old.safetensors", "inspect old.safetensors --json"] {
        assert_eq!(errors(&desk, line), note);
    }
    model(&desk);
    assert_eq!(errors(&desk, "inspect run/model.safetensors"), "");
    assert_eq!(errors(&desk, "eval run/model.safetensors --data digits"), "");
}

#[test]
fn files_that_are_no_models_are_refused_with_what_to_do() {
    let desk = Desk::new();
    let good = model(&desk);
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let size = |size: u64, rest: &[u8]| [&size.to_le_bytes()[..], rest].concat();
    for (name, bytes) in [
        ("empty", vec![]),
        ("short", good[..5].to_vec()),
        ("half", good[..good.len() / 2].to_vec()),
        ("long", [&good[..], b"\n"].concat()),
        ("flipped", flipped),
        ("png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec()),
        ("json", br#"{"kind": "frozen", "version": 2}"#.to_vec()),
        ("zeros", vec![0; 4096]),
        ("huge", size(1 << 63, b"{}")),
        ("all", size(u64::MAX, b"{}")),
        ("other", size(2, b"{}")),
        ("nested", size(2000, "[".repeat(2000).as_bytes())),
    ] {
        desk.write(name, bytes);
        let remedy = "copy it anew from where it was made, or train again";
        desk.fails(&format!("inspect {name}"), 1, &[&format!("error: {name}: "), remedy]);
        desk.fails(&format!("eval {name} --data digits"), 1, &[remedy]);
    }
    desk.write("a.toml", b"name = \"a\"");
    desk.fails("predict a.toml a.png", 1, &["a.toml", "train again"]);
}

#[test]
fn no_name_reaches_the_terminal_as_a_command() {
    let desk = Desk::new();
    let bytes = VERSION_1.to_vec();
    let names = br#"\"classes\":[\""#;
    let at = bytes.windows(names.len()).position(|part| part == names).unwrap() + names.len();
    // The first name, a digit, becomes one that clears the screen.
    let end = 8 + u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    let escape = br"\\u001b[2J";
    let header = [&bytes[8..at], escape, &bytes[at + 1..end]].concat();
    let size = header.len().next_multiple_of(8);
    let mut hostile = (size as u64).to_le_bytes().to_vec();
    hostile.extend(&header);
    hostile.resize(8 + size, b' ');
    hostile.extend(&bytes[end..]);
    desk.write("hostile.safetensors", hostile);
    desk.fails("inspect hostile.safetensors", 1, &[r#"classes: the name "\u{1b}[2J""#]);
    for line in ["inspect hostile.safetensors", "inspect \u{1b}[2J", "spec \u{1b}[2J --\u{1b}c"] {
        let out = desk.bnn(line).output().unwrap();
        assert!(!out.status.success() && !out.stderr.contains(&0x1b), "{out:?}");
        assert!(!out.stdout.contains(&0x1b), "{out:?}");
    }
}
