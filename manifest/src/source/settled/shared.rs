//! What several kustomizations are made from, held once however often they are searched anew.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Weak};

use crate::source::is_same;
use crate::source::parts::Node;
use crate::tree::Found;

/// So many nodes are not worth a look for those that nobody holds.
const FEW: usize = 256;

/// Every node that a kustomization holds.
#[derive(Default)]
pub(super) struct SharedNodes {
    /// By what is in them.
    known: HashMap<u64, Weak<Node>>,
    /// How many there were when those that nobody held were left out.
    swept: usize,
}

impl SharedNodes {
    /// The node that is held already and says the same, or this one.
    pub fn share(&mut self, node: Arc<Node>) -> Arc<Node> {
        let key = key(&node);
        match self.known.get(&key).and_then(Weak::upgrade) {
            Some(held) if is_equal(&held, &node) => return held,
            // Two that differ and have one key: the later is not shared.
            Some(_) => return node,
            None => {}
        }
        if self.known.len() >= FEW + 2 * self.swept {
            self.known.retain(|_, node| node.strong_count() > 0);
            self.swept = self.known.len();
        }
        self.known.insert(key, Arc::downgrade(&node));
        node
    }
}

fn key(node: &Node) -> u64 {
    let mut hasher = DefaultHasher::new();
    node.file.as_ref().map(|(id, _)| id).hash(&mut hasher);
    node.folders.hash(&mut hasher);
    for (path, found) in &node.inputs {
        path.hash(&mut hasher);
        match found {
            Found::File { id, .. } => id.hash(&mut hasher),
            Found::Link { target } => target.hash(&mut hasher),
            _ => {}
        }
    }
    hasher.finish()
}

/// Whether two are of one folder and see no difference. The paths that they asked for are those of their
/// kustomization.
fn is_equal(a: &Node, b: &Node) -> bool {
    let id = |node: &Node| node.file.as_ref().map(|(id, _)| *id);
    let same = |((a, before), (b, now)): (&(String, Found), &(String, Found))| {
        a == b && is_same(before, now)
    };
    id(a) == id(b)
        && a.folders == b.folders
        && a.inputs.len() == b.inputs.len()
        && a.inputs.iter().zip(&b.inputs).all(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: usize) -> Arc<Node> {
        Arc::new(Node { file: None, folders: vec![format!("f{number}")], inputs: Vec::new() })
    }

    #[test]
    fn what_nobody_holds_is_left_out() {
        let mut shared = SharedNodes::default();
        let held: Vec<Arc<Node>> = (0..10).map(|number| shared.share(node(number))).collect();
        (10..10_000).for_each(|number| drop(shared.share(node(number))));
        assert!(shared.known.len() <= FEW + 20, "{}", shared.known.len());
        assert!((0..10).all(|number| Arc::ptr_eq(&held[number], &shared.share(node(number)))));
    }
}
