//! Kubernetes YAML in, declared objects or problems out: pure, strict, and every problem at once.
//!
//! A file is read in four steps. `yaml` makes a tree of each document, with positions and limits.
//! `validate` walks the tree by the tables in `schema` and the `rules` that they name, as strictly as
//! an API server. `decode` fills in what Dugout acts on, and tells what it cannot do. `assemble` joins
//! the files of a commit and checks what objects say about each other.
//!
//! A source is a folder of a commit: `source` tells its manifests from its kustomizations, which
//! `kustomize` renders to the same trees, and reads all of it from a [`Tree`] with [`read_source`].
//!
//! The first three steps need the bytes alone, so their result can be kept by blob id:
//!
//! ```
//! use dugout_manifest::{Policy, assemble, parse_blob};
//! use dugout_model::RevisionContent;
//!
//! let blob = parse_blob(b"apiVersion: v1\nkind: Namespace\nmetadata:\n  name: demo\n");
//! let content = assemble([("apps/demo.yaml", &blob)], &Policy::default());
//! assert!(matches!(content, RevisionContent::Objects { objects, .. } if objects.len() == 1));
//!
//! let blob = parse_blob(b"apiVersion: v1\nkind: Namespace\nmetadata:\n  nmae: demo\n");
//! let RevisionContent::Problems(problems) = assemble([("demo.yaml", &blob)], &Policy::default())
//! else { panic!() };
//! assert_eq!(
//!     problems[0].to_string(),
//!     "demo.yaml:4:3: error: metadata: there is no field \"nmae\" here (did you mean name?)"
//! );
//! ```

mod assemble;
mod blob;
mod compatibility;
mod coverage;
mod decode;
mod image;
mod kustomize;
mod layout;
mod lines;
mod names;
mod problems;
mod quantity;
mod reader;
mod rules;
mod schema;
mod source;
mod text_forms;
mod tree;
mod validate;
mod yaml;

pub use assemble::{Policy, assemble};
pub use blob::{ParsedBlob, parse_blob};
pub use compatibility::compatibility_page;
pub use coverage::{Coverage, KindName, Outcome, Tally};
pub use layout::is_manifest_path;
pub use names::{check_label_value, check_qualified_name};
pub use problems::PROBLEM_LIMIT;
pub use source::{
    MANIFEST_LIMIT_BYTES, NOTICE_LIMIT, Reading, SourceCache, read_paths, read_revision,
    read_source, survey_paths,
};
pub use tree::{ContentId, Files, Found, Tree, TreeError};
pub use yaml::{
    COPIED_BYTE_LIMIT, COPIED_NODE_LIMIT, DEPTH_LIMIT, DOCUMENT_LIMIT, FILE_LIMIT_BYTES, NODE_LIMIT,
};
