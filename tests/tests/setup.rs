//! The scripts behind `make up`: what they say, ask and run, with the machine's programs replaced by
//! ones that write down how they were called.

#![allow(clippy::expect_used, clippy::panic, reason = "a failure here fails the test")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// What every machine has, taken from this one.
const OF_THE_MACHINE: [&str; 17] = [
    "awk", "bash", "cat", "chmod", "cp", "cut", "dirname", "env", "grep", "head", "mktemp", "rm",
    "sed", "sh", "sort", "timeout", "tr",
];

/// A fresh machine that has everything but Rust: its programs, its user's home, and what was called.
struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        for folder in ["bin", "home", "tree/scripts"] {
            fs::create_dir_all(machine.path(folder)).expect("a folder");
        }
        let root = root();
        for file in ["Cargo.toml", "scripts/setup.sh"] {
            fs::copy(root.join(file), machine.path("tree").join(file)).expect("a file of the tree");
        }
        for program in OF_THE_MACHINE {
            let found = ["/usr/bin", "/bin"].iter().map(|folder| Path::new(folder).join(program));
            let found = found.into_iter().find(|path| path.exists()).expect(program);
            symlink(found, machine.path("bin").join(program)).expect("a link");
        }
        for program in ["docker", "git", "initdb", "make", "pkg-config"] {
            machine.program(program, "exit 0");
        }
        machine.program("cc", "echo /usr/lib/libc.a");
        machine.program("id", "case $1 in -u) echo 1000 ;; *) echo rower ;; esac");
        machine.program("apt-get", "case \"$*\" in *install*rustup*) install_rustup ;; esac");
        machine.apt_offers("rustup");
        machine.program("dpkg-query", "exit 0");
        // Root's hands do nothing here but what a test looks at.
        machine.program(
            "sudo",
            "while [ $# -gt 0 ]; do case $1 in apt-get) exec \"$@\" ;; env | *=*) shift ;; *) exit 0 ;; esac; done",
        );
        machine.program("curl", "[ \"$1\" = --proto ] && write_installer \"$@\"");
        machine.helpers();
        machine
    }

    fn path(&self, inner: &str) -> PathBuf {
        self.folder.path().join(inner)
    }

    /// A program that writes down its call, then does what the script says.
    fn program(&self, name: &str, script: &str) {
        self.script(&format!("bin/{name}"), &format!("echo \"{name} $*\" >>\"$CALLS\"\n{script}"));
    }

    /// The one package that apt's sources have; it knows every other by name, and `show` succeeds.
    fn apt_offers(&self, package: &str) {
        let script = format!(
            "[ \"$*\" != 'madison {package}' ] || echo '{package} | 1 | http://mirror Packages'"
        );
        self.program("apt-cache", &script);
    }

    fn script(&self, inner: &str, content: &str) {
        let path = self.path(inner);
        fs::write(&path, format!("#!/bin/sh\n{content}\n")).expect("a script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("permissions");
    }

    /// What brings Rust: rustup, and the installer that brings rustup.
    fn helpers(&self) {
        self.script(
            "rustup",
            "echo \"rustup $*\" >>\"$CALLS\"
case \"$1\" in
    show) cat \"$HOME/active\" 2>/dev/null ;;
    toolchain | update) printf '#!/bin/sh\\necho rustc 1.99.0\\n' >\"$HOME/stable\" ;;
    default) cp \"$HOME/stable\" \"$BIN/rustc\" && printf '#!/bin/sh\\nexit 0\\n' >\"$BIN/cargo\" ;;
esac
if [ \"$1\" = update ]; then cp \"$HOME/stable\" \"$BIN/rustc\"; fi
chmod 755 \"$BIN/rustc\" \"$BIN/cargo\" 2>/dev/null || true",
        );
        self.script("bin/install_rustup", "cp \"$BIN/../rustup\" \"$BIN/rustup\"");
        self.script(
            "bin/write_installer",
            "while [ \"$1\" != --output ]; do shift; done
cat >\"$2\" <<'END'
echo \"installer $*\" >>\"$CALLS\"
for program in rustc cargo; do
    printf '#!/bin/sh\\necho rustc 1.99.0\\n' >\"$BIN/$program\"
    chmod 755 \"$BIN/$program\"
done
END",
        );
    }

    /// A Rust that is here already, of this version.
    fn has_rust(&self, version: &str) {
        self.script("bin/rustc", &format!("echo rustc {version}"));
        self.script("bin/cargo", "exit 0");
    }

    fn setup(&self, variables: &[(&str, &str)]) -> Output {
        Command::new("/bin/bash")
            .arg(self.path("tree/scripts/setup.sh"))
            .env_clear()
            .env("PATH", self.path("bin"))
            .env("BIN", self.path("bin"))
            .env("HOME", self.path("home"))
            .env("CALLS", self.path("calls"))
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .output()
            .expect("bash can be run")
    }

    /// Runs it with a yes; it must succeed. Returns what it said and what it called.
    fn set_up(&self) -> (String, String) {
        let output = self.setup(&[("ASSUME_YES", "1")]);
        let said = said(&output);
        assert!(output.status.success(), "{said}\n{}", self.calls());
        (said, self.calls())
    }

    /// Runs it with a yes; it must say why not, and change nothing. Returns what it said.
    fn refused(&self, variables: &[(&str, &str)]) -> String {
        let output = self.setup(&[variables, &[("ASSUME_YES", "1")]].concat());
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        for change in ["apt-get ", "sudo "] {
            assert!(!self.calls().contains(change), "{}", self.calls());
        }
        said
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.path("calls")).unwrap_or_default()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the tree")
}

#[test]
fn rust_comes_from_apts_rustup_where_there_is_one() {
    let machine = Machine::new();
    let (said, calls) = machine.set_up();
    assert!(said.contains("Rust 1."), "it says what is missing: {said}");
    assert!(said.contains("apt-get: rustup"), "{said}");
    assert!(calls.contains("install rustup"), "{calls}");
    assert!(calls.contains("\nrustup toolchain install stable --profile minimal"), "{calls}");
    assert!(calls.contains("\nrustup default stable"), "{calls}");
    assert!(!calls.contains("sudo rustup"), "not as root: {calls}");
    assert!(!calls.contains("curl"), "{calls}");
}

#[test]
fn rust_comes_from_rustups_installer_where_apt_has_none_or_one_that_is_too_old() {
    for old in [None, Some("1.63.0")] {
        let machine = Machine::new();
        match old {
            None => machine.apt_offers("make"),
            Some(version) => machine.has_rust(version),
        }
        let (said, calls) = machine.set_up();
        assert!(said.contains("rustup-init.sh"), "{said}");
        assert!(calls.contains("curl --proto =https --tlsv1.2"), "{calls}");
        let wanted = "installer -y --profile minimal --default-toolchain stable --no-modify-path";
        assert!(calls.contains(wanted), "{calls}");
        assert!(
            !calls.contains("install rustup"),
            "it would push out the one that is here: {calls}"
        );
    }
}

#[test]
fn a_rustup_that_is_here_is_brought_up_to_date() {
    let machine = Machine::new();
    machine.has_rust("1.80.1");
    machine.script("bin/rustup", &fs::read_to_string(machine.path("rustup")).expect("a script"));
    fs::write(machine.path("home/active"), "stable-x86_64 (default)\n").expect("a file");
    let (said, calls) = machine.set_up();
    assert!(said.contains("1.80.1 is here"), "{said}");
    assert!(calls.contains("rustup update --no-self-update stable"), "{calls}");
    assert!(!calls.contains("override"), "{calls}");

    // Another toolchain that somebody chose stays the default everywhere else.
    let machine = Machine::new();
    machine.has_rust("1.80.1");
    machine.script("bin/rustup", &fs::read_to_string(machine.path("rustup")).expect("a script"));
    fs::write(machine.path("home/active"), "1.80.1-x86_64 (default)\n").expect("a file");
    let (_, calls) = machine.set_up();
    assert!(calls.contains("rustup override set stable"), "{calls}");
    assert!(!calls.contains("rustup default"), "{calls}");
}

#[test]
fn without_a_yes_nothing_is_done_and_it_is_said_how_to_agree() {
    let machine = Machine::new();
    let output = machine.setup(&[]);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("Rust 1.") && said.contains("ASSUME_YES=1"), "{said}");
    for change in ["apt-get ", "rustup toolchain", "curl ", "sudo "] {
        assert!(!machine.calls().contains(change), "{}", machine.calls());
    }
}

#[test]
fn who_has_no_right_to_sudo_is_told_what_somebody_else_is_to_run() {
    let machine = Machine::new();
    machine.program("sudo", "exit 1");
    let output = machine.setup(&[("ASSUME_YES", "1")]);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("sudo did not give it to rower"), "{said}");
    assert!(said.contains("It was for: apt-get install rustup"), "{said}");
    assert_eq!(machine.calls().matches("sudo ").count(), 1, "one refusal: {}", machine.calls());
}

#[test]
fn root_installs_no_rust_for_somebody_else() {
    let machine = Machine::new();
    machine.program("id", "case $1 in -u) echo 0 ;; *) echo root ;; esac");
    let output = machine.setup(&[("SUDO_USER", "rower"), ("ASSUME_YES", "1")]);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("Run this as rower, without sudo"), "{said}");
    assert!(!machine.calls().contains("apt-get"), "{}", machine.calls());
}

#[test]
fn podman_in_dockers_place_is_named_and_nothing_is_installed_beside_it() {
    // Its command under Docker's name, then its service behind Docker's own command.
    let command = "[ \"$1\" != --version ] || echo 'podman version 4.3.1'";
    let service = "case $1 in --version) echo 'Docker version 28.0' ;;
        version) echo '{\"Components\":[{\"Name\":\"Podman Engine\"}]}' ;; esac";
    for docker in [command, service] {
        let machine = Machine::new();
        machine.has_rust("1.99.0");
        machine.program("docker", docker);
        let said = machine.refused(&[]);
        assert!(said.contains("is Podman") && said.contains("remove podman-docker"), "{said}");
    }
}

#[test]
fn an_engine_that_dugout_does_not_go_to_is_named_with_the_way_back() {
    let docker =
        "case \"$1 $2\" in 'context show') echo far ;; 'context inspect') echo \"$WHERE\" ;; esac";
    let machine = Machine::new();
    machine.has_rust("1.99.0");
    machine.program("docker", docker);
    for elsewhere in ["ssh://ann@far", "tcp://10.0.0.2:2376", "unix:///run/user/1000/docker.sock"] {
        let said = machine.refused(&[("WHERE", elsewhere)]);
        assert!(said.contains(&format!("context far leads to {elsewhere}")), "{said}");
        assert!(said.contains("docker context use default"), "{said}");
    }
    let said = machine.refused(&[("DOCKER_HOST", "tcp://10.0.0.2:2375")]);
    assert!(said.contains("on another machine") && said.contains("10.0.0.2"), "{said}");

    for here in ["", "unix:///var/run/docker.sock"] {
        let output = machine.setup(&[("WHERE", here)]);
        assert!(output.status.success(), "{}", self::said(&output));
    }
    let output =
        machine.setup(&[("WHERE", "ssh://ann@far"), ("DOCKER_HOST", "tcp://127.0.0.1:2375")]);
    assert!(output.status.success(), "the variable comes first: {}", self::said(&output));
}

#[test]
fn a_rootless_engine_is_named_and_why_it_will_not_do() {
    let machine = Machine::new();
    machine.has_rust("1.99.0");
    machine.program("docker", "[ \"$1\" != info ] || echo '[\"name=seccomp\",\"name=rootless\"]'");
    let said = machine.refused(&[("DOCKER_HOST", "unix:///run/user/1000/docker.sock")]);
    assert!(said.contains("is rootless") && said.contains("Unset DOCKER_HOST"), "{said}");
}

#[test]
fn shellcheck_finds_nothing_in_the_scripts() {
    let scripts = fs::read_dir(root().join("scripts")).expect("the folder of the scripts");
    let mut paths: Vec<PathBuf> = scripts.map(|entry| entry.expect("an entry").path()).collect();
    paths.push(root().join("store/prepare.sh"));
    let output = Command::new("shellcheck")
        .args(&paths)
        .output()
        .expect("shellcheck can be run; install it: apt-get install shellcheck");
    assert!(output.status.success(), "{}", said(&output));
}
