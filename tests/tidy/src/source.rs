//! Rules over Rust source.

use std::collections::BTreeMap;

use crate::report;
use crate::tokens::{TokenKind, Tokens};
use crate::tree::{RustFile, rust_files};

const FUNCTION_LINES: usize = 70;
const SOURCE_FILE_LINES: usize = 600;
const TEST_FILE_LINES: usize = 800;

/// Functions that are longer than they should be, as `path name lines`. The list may only shrink.
const LONG_FUNCTIONS: &str = include_str!("long_functions.txt");

/// The rooms where nothing happens but computing.
const PURE_ROOMS: [&str; 4] = ["model", "manifest", "planner", "wire"];
/// The rooms whose results must be the same bytes every time, so that nothing may be in random order.
const ORDERED_ROOMS: [&str; 2] = ["model", "planner"];
/// The part of the agent that is pure as well.
const PURE_PATHS: [&str; 2] = ["agent/src/converge.rs", "agent/src/converge/"];

#[test]
fn no_function_is_too_long() {
    let mut allowed = BTreeMap::new();
    for line in LONG_FUNCTIONS.lines().filter(|line| !line.starts_with('#')) {
        let parts: Vec<&str> = line.split_whitespace().collect();
        let [path, name, lines] = parts[..] else {
            panic!("long_functions.txt: odd line {line:?}")
        };
        allowed.insert((path.to_owned(), name.to_owned()), lines.parse::<usize>().unwrap());
    }
    let mut wrong = Vec::new();
    for file in rust_files() {
        for function in &file.tokens.functions {
            let (name, count) = (&function.name, function.line_count);
            let limit = allowed.remove(&(file.path.clone(), name.clone()));
            let place = format!("{}:{}: fn {name} has {count} lines", file.path, function.line);
            if count > limit.unwrap_or(FUNCTION_LINES) {
                wrong.push(place);
            } else if limit.is_some_and(|limit| count < limit) {
                wrong.push(format!("{place}: it shrank; say so in long_functions.txt"));
            }
        }
    }
    for (path, name) in allowed.into_keys() {
        wrong.push(format!("{path}: there is no fn {name}; take it out of long_functions.txt"));
    }
    report(&wrong, "split it: branch in the parent, loop in the leaf (at most 70 lines)");
}

#[test]
fn no_file_is_too_long() {
    let mut wrong = Vec::new();
    for file in rust_files() {
        let limit = if file.only_tests == Some(true) { TEST_FILE_LINES } else { SOURCE_FILE_LINES };
        let count = file.text.lines().count();
        if count > limit {
            wrong.push(format!("{}:{limit}: {count} lines, at most {limit}", file.path));
        }
    }
    report(&wrong, "move what belongs together to a file of its own, or tests to theirs");
}

#[test]
fn every_file_opens_with_a_sentence() {
    let mut wrong = Vec::new();
    for file in rust_files() {
        let paragraph: Vec<&str> = file
            .text
            .lines()
            .map_while(|line| line.strip_prefix("//! "))
            .take_while(|line| !line.trim().is_empty())
            .collect();
        let ends_well = paragraph.last().is_some_and(|line| line.ends_with(['.', ':', '!', '?']));
        if !ends_well {
            wrong.push(format!("{}:1: no sentence that says what the file is", file.path));
        }
    }
    report(&wrong, "begin the file with //! and a sentence");
}

#[test]
fn no_file_is_dead() {
    let wrong: Vec<String> = rust_files()
        .iter()
        .filter(|file| file.only_tests.is_none())
        .map(|file| format!("{}:1: no target reaches this file", file.path))
        .collect();
    report(&wrong, "declare it with `mod`, or delete it");
}

#[test]
fn pure_rooms_compute_and_nothing_else() {
    let mut wrong = Vec::new();
    for file in rust_files() {
        let pure = PURE_ROOMS.contains(&file.room())
            || PURE_PATHS.iter().any(|path| file.path.starts_with(path));
        if !pure || file.only_tests != Some(false) {
            continue;
        }
        for index in 0..file.tokens.tokens.len() {
            let token = &file.tokens.tokens[index];
            let unordered = token.kind == TokenKind::Word
                && ORDERED_ROOMS.contains(&file.room())
                && matches!(token.text.as_str(), "HashMap" | "HashSet");
            let what = if unordered {
                Some("has a random order; use BTreeMap, BTreeSet or imbl's")
            } else {
                impurity(&file.tokens, index)
            };
            if let Some(what) = what.filter(|_| !token.in_test) {
                wrong.push(format!("{}:{}: {what}", file.path, token.line));
            }
        }
    }
    report(&wrong, "hand the moment, the id or the bytes in from outside");
}

/// What at this token reaches outside, or is different every time.
fn impurity(tokens: &Tokens, index: usize) -> Option<&'static str> {
    let token = &tokens.tokens[index];
    if token.kind != TokenKind::Word {
        return None;
    }
    let now = tokens.follow(index + 1, &[":", ":", "now"]);
    match token.text.as_str() {
        "tokio" | "async" => Some("waits: no async in a pure room"),
        "SystemTime" => Some("reads the clock"),
        "Instant" | "Utc" | "Local" | "Timestamp" if now => Some("reads the clock"),
        "rand" | "getrandom" | "new_v4" | "now_v7" | "RandomState" => Some("draws a random number"),
        "TcpStream" | "TcpListener" | "UdpSocket" | "UnixStream" | "ToSocketAddrs" => {
            Some("uses the network")
        }
        "std" if tokens.follow(index + 1, &[":", ":"]) => impure_std_module(tokens, index + 3),
        _ => None,
    }
}

/// `fs` in `std::fs`, and in `std::{fmt, fs}`.
fn impure_std_module(tokens: &Tokens, index: usize) -> Option<&'static str> {
    let first = tokens.tokens.get(index)?;
    let mut names = vec![first.text.as_str()];
    if first.text == "{" {
        let mut depth = 0;
        for token in &tokens.tokens[index..] {
            match token.text.as_str() {
                "{" => depth += 1,
                "}" if depth == 1 => break,
                "}" => depth -= 1,
                name if depth == 1 => names.push(name),
                _ => {}
            }
        }
    }
    names.iter().find_map(|name| match *name {
        "fs" => Some("touches files"),
        "env" => Some("reads the environment"),
        "process" => Some("runs processes"),
        "thread" => Some("runs threads"),
        _ => None,
    })
}

#[test]
fn sql_is_in_the_store_alone() {
    let mut wrong = Vec::new();
    for file in rust_files() {
        // Tests look at what the product left behind; nothing of the product depends on them.
        let is_test = file.path.ends_with("/tests.rs");
        if is_test || matches!(file.room(), "store" | "tests") {
            continue;
        }
        for token in &file.tokens.tokens {
            if token.kind == TokenKind::Text && is_sql(&token.text) {
                wrong.push(format!("{}:{}: SQL outside of store", file.path, token.line));
            }
        }
    }
    report(&wrong, "give the store a function that does this");
}

fn is_sql(text: &str) -> bool {
    let words: Vec<String> = text
        .split(|character: char| !character.is_alphanumeric() && character != '_')
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    let has = |word: &str| words.iter().any(|other| other == word);
    let word = |index: usize| words.get(index).map(String::as_str).unwrap_or_default();
    match word(0) {
        "select" => has("from") || text.starts_with("SELECT"),
        "insert" => word(1) == "into",
        "delete" => word(1) == "from" && words.len() < 20 && (has("where") || words.len() == 3),
        "update" => word(2) == "set",
        "create" | "alter" | "drop" => {
            matches!(word(1), "table" | "index" | "schema" | "database" | "role" | "sequence")
        }
        "with" => word(2) == "as" && has("select"),
        _ => text.contains("INSERT INTO ") || text.contains("DELETE FROM "),
    }
}

#[test]
fn sql_is_told_from_prose() {
    for sql in [
        "SELECT 1",
        "select a, b\n from t where x = $1",
        "INSERT INTO t VALUES ($1)",
        "delete from t where a",
        "UPDATE t SET a = 1",
        "create table t (a int)",
        "WITH a AS (SELECT 1) DELETE FROM t",
    ] {
        assert!(is_sql(sql), "{sql}");
    }
    for prose in ["select a node", "update the field set by Git", "create a namespace", "Updates"] {
        assert!(!is_sql(prose), "{prose}");
    }
}

#[test]
fn nothing_is_left_for_later() {
    let mut wrong = Vec::new();
    for file in rust_files() {
        for index in 0..file.tokens.tokens.len() {
            for (words, what) in [
                (&["todo", "!"][..], "todo!"),
                (&["unimplemented", "!"][..], "unimplemented!"),
                (&["dbg", "!"][..], "dbg!"),
                (&["[", "ignore", "]"][..], "#[ignore]"),
                (&["[", "ignore", "="][..], "#[ignore]"),
            ] {
                if file.tokens.follow(index, words) {
                    let line = file.tokens.tokens[index].line;
                    wrong.push(format!("{}:{line}: {what}", file.path));
                }
            }
        }
    }
    for file in crate::tree::text_files() {
        let is_code = [".rs", ".sh", ".sql", ".toml", ".yaml", ".yml", "Makefile", "/run"]
            .iter()
            .any(|end| file.path.ends_with(end));
        if !is_code {
            continue;
        }
        for (number, line) in file.text.lines().enumerate() {
            for mark in [concat!("FIX", "ME"), concat!("TO", "DO"), concat!("XX", "X")] {
                if line.split(|character: char| !character.is_alphanumeric()).any(|it| it == mark) {
                    wrong.push(format!("{}:{}: {mark}", file.path, number + 1));
                }
            }
        }
    }
    report(&wrong, "do it now, or make it an issue");
}

#[test]
fn every_unsafe_has_its_proof() {
    let mut wrong = Vec::new();
    for file in rust_files() {
        let lines: Vec<&str> = file.text.lines().collect();
        for (index, token) in file.tokens.tokens.iter().enumerate() {
            let opens = token.kind == TokenKind::Word
                && token.text == "unsafe"
                && ["{", "impl", "fn", "extern"]
                    .iter()
                    .any(|next| file.tokens.follow(index + 1, &[next]));
            if opens && !has_proof_above(&lines, token.line) {
                wrong.push(format!("{}:{}: unsafe without a proof", file.path, token.line));
            }
        }
    }
    report(&wrong, "say in a comment that begins with `SAFETY:` why it is sound, or do without");
}

/// Whether the comment right above a line holds the proof; `line` is one-based.
fn has_proof_above(lines: &[&str], line: usize) -> bool {
    lines[..line - 1]
        .iter()
        .rev()
        .take_while(|above| {
            let above = above.trim_start();
            above.starts_with("//") || above.starts_with("#[") || above.ends_with('=')
        })
        .any(|above| above.contains("SAFETY:") || above.contains("# Safety"))
}

/// All string literals of the product's own code, without those of tests.
pub fn product_texts(files: &[RustFile]) -> Vec<(&str, &str)> {
    files
        .iter()
        .filter(|file| file.only_tests == Some(false) && file.room() != "tests")
        .flat_map(|file| {
            file.tokens
                .tokens
                .iter()
                .filter(|token| token.kind == TokenKind::Text && !token.in_test)
                .map(|token| (file.room(), token.text.as_str()))
        })
        .collect()
}
