//! What comes out of a file, and what no file can do.

use super::{Dialect, Document, Documents, Node, ScalarKind, Value};
use crate::problems::Problems;

/// The documents as one line each, and the problems as `line:column message`.
fn read(text: &str) -> (Vec<String>, Vec<String>) {
    let mut problems = Problems::default();
    let mut documents = Documents::of(text);
    let mut shown = Vec::new();
    while let Some(document) = documents.next(&mut problems) {
        shown.push(match document {
            Document::Tree(node) => show(&node),
            Document::Broken => "broken".to_owned(),
        });
    }
    let told = problems
        .into_list()
        .iter()
        .map(|problem| format!("{}:{} {}", problem.line, problem.column, problem.message))
        .collect();
    (shown, told)
}

fn show(node: &Node<'_>) -> String {
    match &node.value {
        Value::Scalar { text, kind: ScalarKind::Text } => format!("{text:?}"),
        Value::Scalar { kind: ScalarKind::Null, .. } => "null".to_owned(),
        Value::Scalar { kind: ScalarKind::Bool(value), .. } => value.to_string(),
        Value::Scalar { kind: ScalarKind::Int(value), .. } => value.to_string(),
        Value::Scalar { text, kind: ScalarKind::Float } => format!("float {text}"),
        Value::List(items) => {
            format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", "))
        }
        Value::Map(entries) => format!(
            "{{{}}}",
            entries
                .iter()
                .map(|entry| format!("{}: {}", entry.key, show(&entry.node)))
                .collect::<Vec<_>>()
                .join(", ")
        ),
    }
}

fn good(text: &str) -> Vec<String> {
    let (shown, told) = read(text);
    assert_eq!(told, Vec::<String>::new(), "in {text:?}");
    shown
}

#[test]
fn documents_are_read_one_after_another_and_empty_ones_are_left_out() {
    assert_eq!(
        good("a: 1\n---\n---\n# only words\n---\nb: [x, 'y']\n...\n"),
        ["{a: 1}", "{b: [\"x\", \"y\"]}"]
    );
    assert!(good("").is_empty());
    assert!(good("# nothing\n").is_empty());
}

#[test]
fn json_is_yaml() {
    let text = "{\n\t\"a\": {\"b\": [1, true, null, \"\\u0041\\/\"]},\n\t\"c\": 1.5\n}\n";
    assert_eq!(good(text), ["{a: {b: [1, true, null, \"A/\"]}, c: float 1.5}"]);
}

#[test]
fn windows_line_ends_are_line_ends() {
    assert_eq!(good("a: |\r\n  x\r\n  y\r\nb: z\r\n"), ["{a: \"x\\ny\\n\", b: \"z\"}"]);
}

#[test]
fn block_scalars_end_as_kubectl_ends_them() {
    assert_eq!(good("a: |\n  x"), ["{a: \"x\"}"]);
    assert_eq!(good("a: |\n  x\n"), ["{a: \"x\\n\"}"]);
    assert_eq!(good("a: |-\n  x\n"), ["{a: \"x\"}"]);
    assert_eq!(good("a: >\n  x\n  y\n"), ["{a: \"x y\\n\"}"]);
}

#[test]
fn aliases_and_merge_keys_are_filled_in() {
    let text = "base: &base {x: 1, z: 2}\nmine:\n  <<: *base\n  z: 3\nsame: *base\n";
    assert_eq!(good(text), ["{base: {x: 1, z: 2}, mine: {z: 3, x: 1}, same: {x: 1, z: 2}}"]);
    let list = "a: &a {x: 1}\nb: &b {x: 2, z: 3}\nc: {<<: [*a, *b]}\n";
    assert_eq!(good(list), ["{a: {x: 1}, b: {x: 2, z: 3}, c: {x: 1, z: 3}}"]);
}

#[test]
fn a_key_that_comes_twice_is_told_with_both_lines() {
    let (shown, told) = read("a: 1\nb: 2\na: 3\n");
    assert_eq!(shown, ["{a: 1, b: 2}"]);
    assert_eq!(told, ["3:1 the key \"a\" stands here for the second time"]);
}

#[test]
fn a_broken_document_does_not_hide_the_next_one() {
    let (shown, told) = read("a: [1\n---\nb: 2\n---\nc: 'x\n---\nd: 4\n");
    assert_eq!(shown, ["broken", "{b: 2}", "broken", "{d: 4}"]);
    assert_eq!(told.len(), 2, "{told:?}");
}

#[test]
fn keys_that_are_not_text_are_refused() {
    for text in
        ["on: 1\n", "? [a]\n: 1\n", "{{ name }}: 1\n", "1.0: x\n", "~: x\n", "a: &a 1\n*a : 2\n"]
    {
        let (shown, told) = read(text);
        assert_eq!(shown, ["broken"], "in {text:?}");
        assert!(!told.is_empty(), "in {text:?}");
    }
    assert_eq!(good("80: x\ntrue: v\n\"on\": z\n"), ["{80: \"x\", true: \"v\", on: \"z\"}"]);
}

#[test]
fn tags_of_other_programs_are_refused() {
    assert_eq!(good("a: !!str 80\nb: !!int \"7\"\n"), ["{a: \"80\", b: 7}"]);
    assert_eq!(read("a: !Ref x\n").0, ["broken"]);
    assert_eq!(read("a: !!python/object {}\n").0, ["broken"]);
}

#[test]
fn an_alias_needs_an_anchor_that_is_complete() {
    assert_eq!(read("a: *missing\n").0, ["broken"]);
    assert_eq!(read("a: &a [*a]\n").0, ["broken"]);
}

#[test]
fn aliases_cannot_grow_a_file_without_end() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let from = level - 1;
        text.push_str(&format!("a{level}: &a{level} ["));
        text.push_str(&format!("*a{from}, ").repeat(9));
        text.push_str("]\n");
    }
    let (shown, told) = read(&text);
    assert_eq!(shown, ["broken"]);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("aliases copy too much"), "{told:?}");

    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), "*a, ".repeat(1000));
    assert_eq!(read(&long).0, ["broken"]);
}

#[test]
fn depth_is_limited_and_costs_no_stack() {
    for text in ["[".repeat(100_000), "- ".repeat(100_000), "{a: ".repeat(100_000)] {
        let (shown, told) = read(&text);
        assert_eq!(shown.first().map(String::as_str), Some("broken"));
        assert!(!told.is_empty());
    }
}

#[test]
fn positions_are_those_of_an_editor() {
    let mut problems = Problems::default();
    let text = "kind: Ä\nspec:\n  - name: x\n    ports: [80, 81]\n";
    let Some(Document::Tree(root)) = Documents::of(text).next(&mut problems) else {
        panic!("no tree")
    };
    let Value::Map(entries) = &root.value else { panic!("no map") };
    let place = |node: &Node<'_>| (node.at.line, node.at.column);
    assert_eq!(place(&root), (1, 1));
    assert_eq!(place(&entries[0].node), (1, 7));
    let Value::List(items) = &entries[1].node.value else { panic!("no list") };
    assert_eq!(place(&items[0]), (3, 5));
    let Value::Map(fields) = &items[0].value else { panic!("no map") };
    assert_eq!((fields[1].key_at.line, fields[1].key_at.column), (4, 5));
    let Value::List(ports) = &fields[1].node.value else { panic!("no list") };
    assert_eq!(place(&ports[1]), (4, 17));
}

#[test]
fn json_documents_need_nothing_between_them() {
    let two = "\n{\"a\": {\"b\": \"} {\"}} {\"c\":\n 1}\n\n  {\"é\": 2}";
    assert_eq!(good(two), ["{a: {b: \"} {\"}}", "{c: 1}", "{é: 2}"]);
    // Each keeps its place, and one that is wrong hides no other.
    let (shown, told) = read("{\"a\": 1}{\"b\": 1, \"b\": 2}\n {\"c\": 1, \"c\": 2}");
    assert_eq!(shown.len(), 3, "{shown:?}");
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("1:18 ") && told[1].starts_with("2:11 "), "{told:?}");
    // Flow style is no JSON, and is as it was.
    assert_eq!(good("{a: '} {'}\n---\n{b: c}"), ["{a: \"} {\"}", "{b: \"c\"}"]);
    assert_eq!(good("{\"a\": 1}\n---\n{\"b\": 2}"), ["{a: 1}", "{b: 2}"]);
    assert_eq!(read("{\"a\": 1}\n{b: 2}").1.len(), 1);
}

#[test]
fn words_that_yaml_takes_for_booleans_are_keys_where_it_is_asked() {
    let mut problems = Problems::default();
    let document =
        Documents::with_dialect("{y: 1, on: 2, \"n\": 3}", Dialect::Resources).next(&mut problems);
    assert!(matches!(document, Some(Document::Tree(node)) if show(&node) == "{y: 1, on: 2, n: 3}"));
    assert!(!read("{y: 1}").1.is_empty());
    let mut null = Documents::with_dialect("{null: 1}", Dialect::Resources);
    assert!(matches!(null.next(&mut problems), Some(Document::Broken)));
}
