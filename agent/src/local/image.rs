//! An image of one static program, as an archive that the engine loads. Pure: the same input makes
//! the same bytes, and so the same image id.

use std::io;

use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::labels::MADE_IMAGE;

/// An image of one static program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSpec {
    /// With its tag.
    pub name: String,
    /// Where the program lies in the image; it is the entrypoint.
    pub program_path: String,
    pub program: Vec<u8>,
    /// As `NAME=value`.
    pub env: Vec<String>,
    /// TCP.
    pub exposed_ports: Vec<u16>,
    /// As `uid:gid`.
    pub user: String,
}

pub(crate) struct Archive {
    /// The image's id, which is the digest of its configuration.
    pub id: String,
    pub bytes: Vec<u8>,
}

/// The epoch: an image must not depend on when it was made.
const CREATED: &str = "1970-01-01T00:00:00Z";
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const PASSWD: &str =
    "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/tmp:/sbin/nologin\n";
const GROUP: &str = "root:x:0:\nnonroot:x:65532:\n";

/// Puts the archive together: one layer with the program, an empty `/tmp` and the user database.
pub(crate) fn archive(spec: &ImageSpec) -> io::Result<Archive> {
    let layer = layer(spec)?;
    let config = config(spec, &digest(&layer)).to_string().into_bytes();
    let id = digest(&config);
    let hex = id.trim_start_matches("sha256:");
    let manifest = json!([{
        "Config": format!("{hex}.json"),
        "RepoTags": [spec.name],
        "Layers": ["layer.tar"],
    }]);
    let mut tar = tar::Builder::new(Vec::new());
    file(&mut tar, &format!("{hex}.json"), &config, 0o644)?;
    file(&mut tar, "layer.tar", &layer, 0o644)?;
    file(&mut tar, "manifest.json", manifest.to_string().as_bytes(), 0o644)?;
    Ok(Archive { id, bytes: tar.into_inner()? })
}

fn layer(spec: &ImageSpec) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    directory(&mut tar, "etc/", 0o755)?;
    file(&mut tar, "etc/group", GROUP.as_bytes(), 0o644)?;
    file(&mut tar, "etc/passwd", PASSWD.as_bytes(), 0o644)?;
    directory(&mut tar, "tmp/", 0o1777)?;
    file(&mut tar, spec.program_path.trim_start_matches('/'), &spec.program, 0o755)?;
    tar.into_inner()
}

fn config(spec: &ImageSpec, layer: &str) -> serde_json::Value {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let mut env = vec![PATH.to_owned()];
    env.extend(spec.env.iter().cloned());
    let ports: serde_json::Map<String, serde_json::Value> =
        spec.exposed_ports.iter().map(|port| (format!("{port}/tcp"), json!({}))).collect();
    json!({
        "architecture": architecture,
        "os": "linux",
        "created": CREATED,
        "config": {
            "Entrypoint": [spec.program_path],
            "Labels": { MADE_IMAGE: "true" },
            "Env": env,
            "ExposedPorts": ports,
            "User": spec.user,
            "WorkingDir": "/",
        },
        "rootfs": { "type": "layers", "diff_ids": [layer] },
        "history": [{ "created": CREATED, "created_by": "dugout" }],
    })
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn file(tar: &mut tar::Builder<Vec<u8>>, path: &str, content: &[u8], mode: u32) -> io::Result<()> {
    let mut header = header(tar::EntryType::Regular, mode);
    header.set_size(content.len() as u64);
    tar.append_data(&mut header, path, content)
}

fn directory(tar: &mut tar::Builder<Vec<u8>>, path: &str, mode: u32) -> io::Result<()> {
    let mut header = header(tar::EntryType::Directory, mode);
    header.set_size(0);
    tar.append_data(&mut header, path, io::empty())
}

fn header(kind: tar::EntryType, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> ImageSpec {
        ImageSpec {
            name: "web:1".into(),
            program_path: "/web".into(),
            program: b"program".to_vec(),
            env: vec!["VERSION=1".into()],
            exposed_ports: vec![8080],
            user: "65532:65532".into(),
        }
    }

    #[test]
    fn the_same_input_makes_the_same_image_and_other_input_another() {
        let one = archive(&spec()).unwrap();
        assert_eq!(archive(&spec()).unwrap().bytes, one.bytes);
        let other = ImageSpec { env: vec!["VERSION=2".into()], ..spec() };
        assert_ne!(archive(&other).unwrap().id, one.id);
    }
}
