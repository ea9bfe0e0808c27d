//! No file takes much more memory than it has bytes, whatever is in it: counted at the allocator.

mod counting;

use dugout_manifest::{ContentId, Found, Policy, SourceCache, Tree, TreeError, read_source};

/// One file, made beforehand.
struct Single(Vec<u8>);

impl Tree for Single {
    fn find(&self, path: &str) -> Result<Found, TreeError> {
        Ok(match path {
            "" => Found::Folder { id: ContentId([0; 32]) },
            _ => Found::File { id: ContentId([1; 32]), size_bytes: self.0.len() as u64 },
        })
    }

    fn list(&self, _: &str) -> Result<Vec<(String, Found)>, TreeError> {
        Ok(vec![("a.yaml".to_owned(), self.find("a.yaml")?)])
    }

    fn read(&self, _: &str, _: ContentId) -> Result<Vec<u8>, TreeError> {
        Ok(self.0.clone())
    }
}

const HEAD: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

/// A text of about this many bytes: something over and over between a beginning and an end.
fn filled(bytes: usize, head: &str, each: &dyn Fn(usize) -> String, end: &str) -> Vec<u8> {
    let mut text = head.to_owned();
    let mut number = 0;
    while text.len() + end.len() < bytes {
        text.push_str(&each(number));
        number += 1;
    }
    text.push_str(end);
    text.into_bytes()
}

/// What takes most memory for each byte that it is written with.
fn worst_files(bytes: usize) -> Vec<(&'static str, Vec<u8>)> {
    let data = |start: &str| format!("{HEAD}data: {start}");
    let again = |text: &'static str| move |_: usize| text.to_owned();
    let list = "apiVersion: v1\nkind: List\nitems:\n";
    let labels = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: {";
    let env = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n\
               spec: {containers: [{name: a, image: a, env: [";
    let nested = |open: &str, close: &str| format!("{}{},", open.repeat(90), close.repeat(90));
    let of = |head: &str, each: &dyn Fn(usize) -> String, end: &str| filled(bytes, head, each, end);
    vec![
        ("a list of letters", of(&data("["), &again("a,"), "]\n")),
        ("maps in a list", of(&data("["), &again("{a},"), "]\n")),
        ("lists in lists", of(&data("["), &|_| nested("[", "]"), "]\n")),
        ("maps in maps", of(&data("["), &|_| nested("{a: ", "}"), "]\n")),
        ("keys without values", of(&data("{"), &|n| format!("{n:x}k,"), "}\n")),
        ("labels", of(labels, &|n| format!("a{n:x}: b,"), "}}\n")),
        ("variables", of(env, &|n| format!("{{name: A{n}}},"), "]}]}\n")),
        ("unknown fields", of(HEAD, &|n| format!("k{n:x}: a\n"), "")),
        ("aliases", of(&data("[&x [a,a,a,a],"), &again("*x,"), "]\n")),
        ("documents of a letter", of("", &again("--- a\n"), "")),
        ("documents of other groups", of("", &again("---\nkind: A\napiVersion: a/b\n"), "")),
        ("a list of other groups", of(list, &again("- {kind: A, apiVersion: a/b}\n"), "")),
        ("one long text", of(&data("{a: \""), &again("\\n"), "\"}\n")),
    ]
}

/// A ratchet. It is the tree of one document that takes most: 48 bytes for a value and 80 for one under a
/// key, however short they are written. Files of ordinary manifests take 4 to 10 times their size.
const PEAK_LIMIT: usize = 28;

/// One test, because the counts are of the whole process.
#[test]
fn no_file_takes_much_more_memory_than_it_has_bytes() {
    let mut wrong = Vec::new();
    for (name, file) in worst_files(1 << 20) {
        let size_bytes = file.len();
        let tree = Single(file);
        let mut cache = SourceCache::default();
        let read = || read_source(&tree, "", &Policy::default(), &mut cache).unwrap();
        let (_, taken) = counting::count(read);
        if taken.peak > PEAK_LIMIT * size_bytes {
            wrong.push(format!("{name}: {:.1} times", taken.peak as f64 / size_bytes as f64));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
