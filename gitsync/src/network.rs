//! Talks to a remote repository over HTTP(S) or SSH: one branch down, one commit up.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use git2::{
    AutotagOption, CertificateCheckStatus, Cred, CredentialType, ErrorClass, ErrorCode,
    FetchOptions, Oid, PushOptions, RemoteCallbacks, Repository,
};

use git2::cert::Cert;

use crate::deadline::Deadline;
use crate::error::is_unsound;
use crate::http::{self, Conversation, UnderWay};
use crate::known_hosts::{self, Standing};
use crate::location::{Location, Transport};
use crate::{Credentials, FetchProblem, SshKey};

/// The most that one fetch may send.
const FETCH_LIMIT_BYTES: u64 = 4 << 30;
/// The local name of the commit that is pushed.
const PUSH_REFERENCE: &str = "refs/dugout/push";

/// One conversation with a remote.
pub(crate) struct Session<'a> {
    pub(crate) location: &'a Location,
    pub(crate) branch: &'a str,
    pub(crate) credentials: &'a Credentials,
    pub(crate) deadline: &'a Deadline,
    /// Over HTTP.
    under_way: Option<UnderWay>,
    notes: Notes,
}

/// What the callbacks saw. It, and not libgit2's message, says why a conversation ended.
#[derive(Default)]
struct Notes {
    host_key: RefCell<Option<FetchProblem>>,
    tried: RefCell<Vec<Proof>>,
    objects_come: Cell<bool>,
    too_large: Cell<bool>,
    branch_moved: Cell<bool>,
    rejected: RefCell<Option<String>>,
}

/// One way to prove who we are.
#[derive(Clone, PartialEq, Eq)]
enum Proof {
    Password,
    Agent,
    KeyFile(PathBuf),
}

/// How a push ended when the remote answered.
pub(crate) enum Pushed {
    Done,
    /// The branch is not where the caller thought it was.
    Moved,
    Rejected {
        message: String,
    },
}

impl<'a> Session<'a> {
    pub(crate) fn new(
        location: &'a Location,
        branch: &'a str,
        credentials: &'a Credentials,
        client: Option<&Arc<http::Client>>,
        deadline: &'a Arc<Deadline>,
    ) -> Session<'a> {
        let under_way = client.map(|client| Conversation::begin(client, deadline));
        Session { location, branch, credentials, deadline, under_way, notes: Notes::default() }
    }

    /// Brings the branch's objects into the repository and tells its head. No reference is changed.
    pub(crate) fn fetch(&self, repository: &Repository) -> Result<Oid, FetchProblem> {
        let wanted = format!("refs/heads/{}", self.branch);
        let mut remote = repository
            .remote_anonymous(&self.location.to_string())
            .map_err(|error| self.problem(error))?;
        let mut options = FetchOptions::new();
        options
            .remote_callbacks(self.callbacks())
            .download_tags(AutotagOption::None)
            .update_fetchhead(false);
        remote.download(&[&wanted], Some(&mut options)).map_err(|error| self.problem(error))?;
        let heads = remote.list().map_err(|error| self.problem(error))?;
        heads.iter().find(|head| head.name() == wanted).map(git2::RemoteHead::oid).ok_or_else(
            || FetchProblem::BranchMissing {
                remote: self.location.to_string(),
                branch: self.branch.to_owned(),
            },
        )
    }

    /// Moves the branch from `expected` to `commit`, or leaves it alone if it is elsewhere by now.
    pub(crate) fn push(
        &self,
        repository: &Repository,
        commit: Oid,
        expected: Oid,
    ) -> Result<Pushed, FetchProblem> {
        self.push_reference(repository, commit, Some(expected)).or_else(|error| {
            let moved = self.notes.branch_moved.get() || error.code() == ErrorCode::NotFastForward;
            if moved { Ok(Pushed::Moved) } else { Err(self.problem(error)) }
        })
    }

    /// Makes the branch, or moves it wherever it is, to `commit`.
    pub(crate) fn put(&self, repository: &Repository, commit: Oid) -> Result<Pushed, FetchProblem> {
        self.push_reference(repository, commit, None).map_err(|error| self.problem(error))
    }

    fn push_reference(
        &self,
        repository: &Repository,
        commit: Oid,
        expected: Option<Oid>,
    ) -> Result<Pushed, git2::Error> {
        repository.reference(PUSH_REFERENCE, commit, true, "")?;
        let mut remote = repository.remote_anonymous(&self.location.to_string())?;
        let notes = &self.notes;
        let mut callbacks = self.callbacks();
        callbacks.push_negotiation(move |updates| {
            if expected.is_none_or(|from| updates.iter().all(|update| update.src() == from)) {
                return Ok(());
            }
            notes.branch_moved.set(true);
            Err(stop("the branch moved"))
        });
        callbacks.push_update_reference(move |_, status| {
            *notes.rejected.borrow_mut() = status.map(str::to_owned);
            Ok(())
        });
        let mut options = PushOptions::new();
        options.remote_callbacks(callbacks);
        let force = if expected.is_none() { "+" } else { "" };
        let change = format!("{force}{PUSH_REFERENCE}:refs/heads/{}", self.branch);
        remote.push(&[change], Some(&mut options))?;
        drop(options);
        Ok(match self.notes.rejected.take() {
            Some(message) => Pushed::Rejected { message },
            None => Pushed::Done,
        })
    }

    fn callbacks<'s>(&'s self) -> RemoteCallbacks<'s> {
        let mut callbacks = RemoteCallbacks::new();
        callbacks.credentials(|_, user, allowed| self.prove(user, allowed));
        callbacks.certificate_check(|certificate, _| self.check_host(certificate));
        callbacks.sideband_progress(|_| !self.deadline.passed());
        callbacks.transfer_progress(|progress| {
            self.notes.objects_come.set(true);
            self.notes.too_large.set(progress.received_bytes() as u64 > FETCH_LIMIT_BYTES);
            !self.notes.too_large.get() && !self.deadline.passed()
        });
        callbacks
    }

    /// Gives each proof once; libgit2 asks again until it is accepted or we have no more.
    fn prove(&self, user: Option<&str>, allowed: CredentialType) -> Result<Cred, git2::Error> {
        if self.deadline.passed() {
            return Err(stop("the deadline passed"));
        }
        let user = user.or(self.credentials.username.as_deref()).unwrap_or("git");
        if allowed.contains(CredentialType::USERNAME) {
            return Cred::username(user);
        }
        for proof in proofs(self.credentials, allowed) {
            if self.notes.tried.borrow().contains(&proof) {
                continue;
            }
            self.notes.tried.borrow_mut().push(proof.clone());
            if let Some(credential) = self.credential(&proof, user) {
                return credential;
            }
        }
        Err(git2::Error::new(ErrorCode::Auth, ErrorClass::Callback, "no further credentials"))
    }

    /// None when a secret is no text, so that libgit2 cannot send it.
    fn credential(&self, proof: &Proof, user: &str) -> Option<Result<Cred, git2::Error>> {
        match proof {
            Proof::Password => {
                let password = self.credentials.password.as_ref()?.expose();
                Some(Cred::userpass_plaintext(user, std::str::from_utf8(password).ok()?))
            }
            Proof::Agent => Some(Cred::ssh_key_from_agent(user)),
            Proof::KeyFile(path) => {
                let key = self.credentials.ssh_key.as_ref();
                let passphrase = match key.and_then(|key| key.passphrase.as_ref()) {
                    Some(secret) => Some(std::str::from_utf8(secret.expose()).ok()?),
                    None => None,
                };
                Some(Cred::ssh_key(user, None, path, passphrase))
            }
        }
    }

    /// SSH only; over HTTP libgit2 shows no certificate.
    fn check_host(&self, certificate: &Cert<'_>) -> Result<CertificateCheckStatus, git2::Error> {
        if self.deadline.passed() {
            return Err(stop("the deadline passed"));
        }
        let Some(key) = certificate.as_hostkey() else {
            return Ok(CertificateCheckStatus::CertificatePassthrough);
        };
        let key = key.hostkey().unwrap_or_default();
        let Location::Network { host, port, .. } = self.location else {
            return Ok(CertificateCheckStatus::CertificatePassthrough);
        };
        let files = known_hosts_files(self.credentials);
        let mut standing = Standing::Unknown;
        for text in files.iter().filter_map(|path| std::fs::read_to_string(path).ok()) {
            match known_hosts::standing(&text, host, *port, key) {
                Standing::Unknown => {}
                Standing::Known => standing = Standing::Known,
                Standing::Revoked => {
                    standing = Standing::Revoked;
                    break;
                }
            }
        }
        let (host, offered) = (host.clone(), known_hosts::describe(key));
        let looked_in =
            files.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" or ");
        *self.notes.host_key.borrow_mut() = Some(match standing {
            Standing::Known => return Ok(CertificateCheckStatus::CertificateOk),
            Standing::Unknown => FetchProblem::HostKeyUnknown { host, offered, looked_in },
            Standing::Revoked => FetchProblem::HostKeyRevoked { host, offered, looked_in },
        });
        Err(git2::Error::new(ErrorCode::Certificate, ErrorClass::Callback, "unknown host key"))
    }

    /// Names what ended the conversation.
    fn problem(&self, error: git2::Error) -> FetchProblem {
        let remote = self.location.to_string();
        if let Some(problem) = self.notes.host_key.take() {
            return problem;
        }
        if let Some(problem) = self.under_way.as_ref().and_then(|UnderWay(talk)| talk.ended_by()) {
            return problem;
        }
        if self.notes.too_large.get() {
            return FetchProblem::TooLarge { remote, limit_bytes: FETCH_LIMIT_BYTES };
        }
        if self.deadline.passed() || error.code() == ErrorCode::Timeout {
            return FetchProblem::DeadlineExceeded { remote, deadline: self.deadline.span };
        }
        match error.code() {
            ErrorCode::Auth => {
                FetchProblem::AuthenticationFailed { remote, tried: self.tried_in_words() }
            }
            _ if self.list_is_unreadable(&error) => {
                FetchProblem::ListUnreadable { remote, cause: Box::new(error) }
            }
            _ if is_unsound(&error) => FetchProblem::Corrupt { remote, cause: Box::new(error) },
            _ => FetchProblem::Unreachable { remote, cause: Box::new(error) },
        }
    }

    /// Whether an SSH server let us in and then said something that is no list of references. A link
    /// that breaks and a program that ends without a word have codes of their own.
    fn list_is_unreadable(&self, error: &git2::Error) -> bool {
        let over_ssh = matches!(self.location, Location::Network { transport: Transport::Ssh, .. });
        let let_in = !self.notes.tried.borrow().is_empty();
        over_ssh
            && let_in
            && !self.notes.objects_come.get()
            && (error.class(), error.code()) == (ErrorClass::Net, ErrorCode::GenericError)
    }

    fn tried_in_words(&self) -> String {
        let tried = self.notes.tried.borrow();
        if tried.is_empty() {
            return "none are set".to_owned();
        }
        let words = tried.iter().map(|proof| match proof {
            Proof::Password => "the password".to_owned(),
            Proof::Agent => "the SSH agent".to_owned(),
            Proof::KeyFile(path) => format!("the key {}", path.display()),
        });
        words.collect::<Vec<_>>().join(", ")
    }
}

/// In the order in which they are tried.
fn proofs(credentials: &Credentials, allowed: CredentialType) -> Vec<Proof> {
    let mut proofs = Vec::new();
    if allowed.contains(CredentialType::SSH_KEY) {
        match &credentials.ssh_key {
            Some(SshKey { path, .. }) => proofs.push(Proof::KeyFile(path.clone())),
            None => {
                if std::env::var_os("SSH_AUTH_SOCK").is_some_and(|socket| !socket.is_empty()) {
                    proofs.push(Proof::Agent);
                }
                let names = ["id_ed25519", "id_ecdsa", "id_rsa"];
                let files = names.iter().filter_map(|name| in_ssh_folder(name));
                proofs.extend(files.filter(|path| path.is_file()).map(Proof::KeyFile));
            }
        }
    }
    if allowed.contains(CredentialType::USER_PASS_PLAINTEXT) && credentials.password.is_some() {
        proofs.push(Proof::Password);
    }
    proofs
}

fn known_hosts_files(credentials: &Credentials) -> Vec<PathBuf> {
    match &credentials.known_hosts {
        Some(path) => vec![path.clone()],
        None => in_ssh_folder("known_hosts")
            .into_iter()
            .chain([Path::new("/etc/ssh/ssh_known_hosts").to_owned()])
            .collect(),
    }
}

fn in_ssh_folder(name: &str) -> Option<PathBuf> {
    std::env::home_dir().map(|home| home.join(".ssh").join(name))
}

fn stop(message: &str) -> git2::Error {
    git2::Error::new(ErrorCode::User, ErrorClass::Callback, message)
}
