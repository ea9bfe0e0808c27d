//! PostgreSQL as an image, made of the programs that are installed here, for a machine that is made to
//! look as if they were not.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::postgres::programs;
use crate::private_engine::PrivateEngine;

/// What the entrypoint of PostgreSQL's own image does with its variables, as far as anybody here asks.
const ENTRYPOINT: &str = r#"#!/bin/sh
set -e
data=/var/lib/postgresql/data
if [ ! -s "$data/PG_VERSION" ]; then
    echo "$POSTGRES_PASSWORD" >/tmp/password
    initdb -D "$data" -U postgres --auth=scram-sha-256 --pwfile=/tmp/password
    echo 'host all all all scram-sha-256' >>"$data/pg_hba.conf"
    echo "create database \"$POSTGRES_DB\"" | postgres --single -D "$data" postgres
fi
postgres -D "$data" -k /tmp -c listen_addresses='*' &
# As the image's own signal to stop: it ends the sessions and does not wait for them.
trap 'kill -INT $!' TERM
wait $! || wait $!
"#;

/// Puts the programs, what they load and what they read into a folder.
const STAGE: &str = r#"set -eu
programs=$1 root=$2
libraries=$("$programs/pg_config" --pkglibdir)
mkdir -p "$root/bin" "$root/etc" "$root/var/lib/postgresql/data" "$root/tmp"
cp -L --parents "$programs/postgres" "$programs/initdb" "$programs/pg_isready" "$root"
cp -RL --parents "$("$programs/pg_config" --sharedir)" "$root"
mkdir -p "$root$libraries"
find "$libraries" -maxdepth 1 -name '*.so' ! -name 'llvmjit*' -exec cp -L {} "$root$libraries" ';'
find "$root" -type f -perm /111 -o -name '*.so' | xargs ldd 2>/dev/null | grep -o '/[^ :)]*\.so[^ :)]*' |
    grep -v "^$root" | sort -u | while read -r file; do cp -L --parents "$file" "$root"; done
cp -L --parents /usr/share/zoneinfo/UTC "$root"
cp /bin/busybox "$root/bin/sh"
echo 'postgres:x:70:70::/var/lib/postgresql:/bin/sh' >"$root/etc/passwd"
chmod 1777 "$root/tmp"
chmod 700 "$root/var/lib/postgresql/data"
chown -R 70:70 "$root/var/lib/postgresql"
"#;

/// Makes the image on an engine.
pub fn make(engine: &PrivateEngine, name: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let root = folder.path().join("root");
    let programs = programs();
    let staged = Command::new("sh")
        .args(["-c", STAGE, "sh"])
        .args([&programs, &root])
        .output()
        .expect("a shell can be run");
    assert!(staged.status.success(), "{}", String::from_utf8_lossy(&staged.stderr));
    let entrypoint = root.join("bin/start");
    fs::write(&entrypoint, ENTRYPOINT).expect("a script can be written");
    run(Command::new("chmod").arg("755").arg(entrypoint));
    let mut tar = Command::new("tar")
        .args(["--create", "--file", "-", "--directory"])
        .args([&root, Path::new(".")])
        .stdout(Stdio::piped())
        .spawn()
        .expect("tar can be run");
    let change = |text: String| ["--change".to_owned(), text];
    let imported = Command::new("docker")
        .args(["--host", &engine.host(), "import"])
        .args(change(format!("ENV PATH={}:/bin", programs.display())))
        .args(change("USER 70:70".to_owned()))
        .args(change("EXPOSE 5432".to_owned()))
        .args(change("ENTRYPOINT [\"/bin/start\"]".to_owned()))
        .args(["-", name])
        .stdin(tar.stdout.take().expect("it is piped"))
        .output()
        .expect("docker can be run; run `make setup`");
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    assert!(tar.wait().expect("tar ends").success());
}

/// Hides the installed programs from the calling thread and from what it starts from now on.
pub fn hide_installed() {
    // SAFETY: a new mount namespace concerns only this thread and the threads and processes it starts;
    // no memory and no file descriptor is shared or closed by it.
    unsafe {
        rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS)
            .expect("a mount namespace can be made; run the tests as root");
    }
    let programs = programs();
    run(Command::new("mount").args(["--make-rprivate", "/"]));
    run(Command::new("mount").args(["-t", "tmpfs", "none"]).arg(programs));
}

fn run(command: &mut Command) {
    let output = command.output().expect("the program can be run");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
