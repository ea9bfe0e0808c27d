//! Volumes on a real folder. What mounts does so in a mount namespace of its own, where nothing is left.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::process::Command;

use dugout_model::{
    AssignedClaim, AssignedPod, ClaimName, ClaimPlace, ClaimVolume, EmptyDir, FileContent,
    FileMode, HostPath, HostPathType, MountAccess, MountPropagation, ObjectName, ResolvedTemplate,
    SecretValue, SubPath, Volume, VolumeFile, VolumeFiles, VolumeMount, VolumeSource,
};
use rustix::thread::CapabilitySet;
use tempfile::TempDir;

use super::mount_table::MountTable;
use super::*;
use crate::testing::{at, owner, pod, template, uid};

/// Says which test is run again in a mount namespace of its own.
const INSIDE: &str = "DUGOUT_TEST_MOUNTS";

/// Whether this process may mount as it likes. If not, the test is run in one that may, and is done.
fn may_mount(test: &str) -> bool {
    if std::env::var(INSIDE).as_deref() == Ok(test) {
        return true;
    }
    let name = format!("volumes::tests::{test}");
    let mut unshare = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    unshare.arg("--mount").arg(std::env::current_exe().unwrap());
    let output = unshare.args(["--exact", &name]).env(INSIDE, test).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{name}: {output:?}");
    false
}

struct Rig {
    folder: TempDir,
    volumes: Volumes,
}

impl Rig {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("data dir")).unwrap();
        let storage = folder.path().join("storage");
        let volumes = Volumes::open(&folder.path().join("data dir"), &storage).unwrap();
        Self { folder, volumes }
    }

    fn pod_folder(&self) -> PathBuf {
        self.volumes.layout(&owner()).pod(uid(1))
    }

    fn volume(&self, name: &str) -> PathBuf {
        self.pod_folder().join("volumes").join(name)
    }

    fn part(&self, index: usize) -> PathBuf {
        self.pod_folder().join("parts/web").join(index.to_string())
    }

    /// Prepares a pod whose container mounts every volume whole and then these parts.
    fn prepare(
        &self,
        volumes: Vec<Volume<VolumeFiles>>,
        parts: &[(&str, &str)],
    ) -> Result<(), VolumeError> {
        let whole = volumes.iter().map(|volume| (volume.name.as_str(), None));
        let parts = parts.iter().map(|(volume, path)| (*volume, Some(*path)));
        let mounts = parts.chain(whole).map(|(volume, path)| VolumeMount {
            volume: volume.to_owned(),
            path: format!("/{volume}"),
            access: MountAccess::ReadWrite,
            sub_path: path.map(|path| SubPath::Fixed(path.to_owned())),
            propagation: MountPropagation::None,
        });
        let mut template = template("web");
        template.containers[0].mounts = mounts.collect();
        template.volumes = volumes.into();
        self.prepare_with(template)
    }

    fn prepare_with(&self, template: ResolvedTemplate) -> Result<(), VolumeError> {
        let pod = pod(1, template);
        let container = &pod.template.containers[0];
        let sub_paths = crate::spec::sub_paths(&pod, container, (&owner().node, None)).unwrap();
        let layout = self.volumes.layout(&owner());
        self.volumes.prepare(
            &layout.preparation(&pod, container, &sub_paths, (&owner().node, at(0))).unwrap(),
        )
    }

    fn remove(&self) {
        self.volumes.remove(&owner(), uid(1)).unwrap();
        assert!(!self.pod_folder().exists());
    }
}

fn volume(name: &str, source: VolumeSource<VolumeFiles>) -> Volume<VolumeFiles> {
    Volume { name: name.to_owned(), source }
}

fn disk(name: &str) -> Volume<VolumeFiles> {
    volume(name, VolumeSource::EmptyDir(EmptyDir::Disk))
}

fn host(path: &Path, path_type: HostPathType) -> Volume<VolumeFiles> {
    let path = path.to_str().unwrap().to_owned();
    volume("host", VolumeSource::HostPath(HostPath { path, path_type }))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn the_volume_of_a_claim_is_made_once_and_outlives_its_pod() {
    let rig = Rig::new();
    let volume_uid = VolumeUid(Uuid::from_u128(7));
    let prepare = |is_new, part: Option<&str>| {
        let claim = ClaimName::Named(ObjectName::new("data"));
        let source = VolumeSource::Claim(ClaimVolume { claim, access: MountAccess::ReadWrite });
        let mut template = template("web");
        template.containers[0].mounts = [VolumeMount {
            volume: "data".to_owned(),
            path: "/data".to_owned(),
            access: MountAccess::ReadWrite,
            sub_path: part.map(|part| SubPath::Fixed(part.to_owned())),
            propagation: MountPropagation::None,
        }]
        .into();
        template.volumes = [volume("data", source)].into();
        let place = ClaimPlace::Provisioned { volume: volume_uid, is_new };
        let claims = vec![AssignedClaim { volume: "data".to_owned(), place }];
        let pod = AssignedPod { claims, ..pod(1, template) };
        let container = &pod.template.containers[0];
        let sub_paths = crate::spec::sub_paths(&pod, container, (&owner().node, None)).unwrap();
        let layout = rig.volumes.layout(&owner());
        let wanted = (&owner().node, at(0));
        let wanted = layout.preparation(&pod, container, &sub_paths, wanted).unwrap();
        let source = layout.mounts(&pod, container, &sub_paths)[0].source.clone();
        rig.volumes.prepare(&wanted).map(|()| source)
    };
    let lost = prepare(false, None).unwrap_err().to_string();
    assert!(lost.contains("what is lost is not begun anew"), "{lost}");
    let folder = prepare(true, None).unwrap();
    assert_eq!(mode(&folder), 0o777);
    fs::write(folder.join("row"), "1").unwrap();
    rig.remove();
    assert_eq!(rig.volumes.find_storage(&owner()).unwrap().volumes, BTreeSet::from([volume_uid]));
    assert_eq!(prepare(false, None).unwrap(), folder);
    assert!(folder.join("row").exists());
    rig.volumes.remove_storage(&owner(), volume_uid).unwrap();
    assert!(!folder.exists());
}

#[test]
fn an_empty_dir_is_open_to_all_stays_over_starts_and_goes_with_its_pod() {
    let rig = Rig::new();
    rig.prepare(vec![disk("cache")], &[]).unwrap();
    let cache = rig.volume("cache");
    assert_eq!(mode(&cache), 0o777);
    assert_eq!(mode(&rig.pod_folder()), 0o700, "nobody else gets there");
    fs::write(cache.join("kept"), "x").unwrap();
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o750)).unwrap();
    rig.prepare(vec![disk("cache")], &[]).unwrap();
    assert_eq!((mode(&cache), cache.join("kept").exists()), (0o750, true));
    assert_eq!(rig.volumes.find(&owner()).unwrap(), [uid(1)]);
    rig.remove();
    rig.remove();
    assert_eq!(rig.volumes.find(&owner()).unwrap(), []);
}

#[test]
fn an_empty_dir_whose_making_was_cut_off_is_made_whole() {
    let rig = Rig::new();
    fs::create_dir_all(rig.volume("cache.new")).unwrap();
    rig.prepare(vec![disk("cache")], &[]).unwrap();
    assert_eq!(mode(&rig.volume("cache")), 0o777);
    assert!(!rig.volume("cache.new").exists());
}

#[test]
fn what_a_host_path_must_be_is_looked_at_and_made_where_it_may_be() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("folder")).unwrap();
    fs::write(at("file"), "").unwrap();
    let _socket = UnixListener::bind(at("socket")).unwrap();
    symlink(at("folder"), at("link")).unwrap();
    let check = |name: &str, path_type| {
        let path = at(name).to_str().unwrap().to_owned();
        host_path::check(&HostPath { path, path_type }).map_err(|problem| problem.to_string())
    };
    let refused = |name: &str, path_type, rule: &str| {
        let path = at(name).display().to_string();
        let expected = format!("hostPath type check failed: {path} {rule}");
        assert_eq!(check(name, path_type), Err(expected));
    };
    for name in ["folder", "link"] {
        check(name, HostPathType::Directory).unwrap();
        check(name, HostPathType::DirectoryOrCreate).unwrap();
    }
    for fits in [HostPathType::File, HostPathType::FileOrCreate, HostPathType::Any] {
        check("file", fits).unwrap();
    }
    check("socket", HostPathType::Socket).unwrap();
    let null = HostPath { path: "/dev/null".to_owned(), path_type: HostPathType::CharDevice };
    host_path::check(&null).unwrap();
    refused("file", HostPathType::Directory, "is not a directory");
    refused("file", HostPathType::DirectoryOrCreate, "is not a directory");
    refused("folder", HostPathType::File, "is not a file");
    refused("folder", HostPathType::FileOrCreate, "is not a file");
    refused("none", HostPathType::Directory, "is not a directory");
    refused("none", HostPathType::Socket, "is not a socket file");
    refused("file", HostPathType::CharDevice, "is not a character device");
    refused("file", HostPathType::BlockDevice, "is not a block device");
    assert!(!at("none").exists());
    check("new/folder", HostPathType::DirectoryOrCreate).unwrap();
    check("any/folder", HostPathType::Any).unwrap();
    check("new/file", HostPathType::FileOrCreate).unwrap();
    assert!(at("new/folder").is_dir() && at("any/folder").is_dir() && at("new/file").is_file());
    assert!(check("far/away/file", HostPathType::FileOrCreate).is_err(), "its folder is not made");
}

#[test]
fn a_refusal_names_the_volume_as_kubernetes_does() {
    let rig = Rig::new();
    let error = rig.prepare(vec![host(Path::new("/dev/null"), HostPathType::File)], &[]);
    assert_eq!(
        error.unwrap_err().to_string(),
        "MountVolume.SetUp failed for volume \"host\" : hostPath type check failed: /dev/null is not a file"
    );
}

#[test]
fn memory_is_a_file_system_of_its_own_with_its_limit_and_is_made_once() {
    if !may_mount("memory_is_a_file_system_of_its_own_with_its_limit_and_is_made_once") {
        return;
    }
    let rig = Rig::new();
    let memory = || {
        let limit = EmptyDir::Memory { size_limit_bytes: Some(1 << 20) };
        vec![volume("fast", VolumeSource::EmptyDir(limit))]
    };
    rig.prepare(memory(), &[]).unwrap();
    let fast = rig.volume("fast");
    assert_eq!(mode(&fast), 0o777);
    fs::write(fast.join("kept"), "x").unwrap();
    assert!(fs::write(fast.join("large"), vec![0; 2 << 20]).is_err(), "beyond the limit");
    rig.prepare(memory(), &[]).unwrap();
    assert!(fast.join("kept").exists());
    let below = || MountTable::read().unwrap().below(&rig.pod_folder()).count();
    assert_eq!(below(), 1);
    rig.remove();
    assert_eq!(below(), 0);
}

#[test]
fn memory_is_bounded_by_the_smaller_of_its_own_limit_and_the_pods() {
    let mut template = template("web");
    assert_eq!(memory::size_bytes(&template, None), None);
    assert_eq!(memory::size_bytes(&template, Some(5)), Some(5));
    template.containers[0].resources.memory_limit_bytes = Some(3);
    assert_eq!(memory::size_bytes(&template, None), Some(3));
    assert_eq!(memory::size_bytes(&template, Some(5)), Some(3));
    template.containers.push(crate::testing::template("other").containers.remove(0));
    assert_eq!(memory::size_bytes(&template, None), None, "one has no limit");
}

#[test]
fn a_part_is_made_where_it_is_missing_and_mounted_once() {
    if !may_mount("a_part_is_made_where_it_is_missing_and_mounted_once") {
        return;
    }
    let rig = Rig::new();
    let prepare = || rig.prepare(vec![disk("cache")], &[("cache", "a/b"), ("cache", "file")]);
    rig.prepare(vec![disk("cache")], &[]).unwrap();
    let cache = rig.volume("cache");
    fs::write(cache.join("file"), "one").unwrap();
    prepare().unwrap();
    prepare().unwrap();
    assert_eq!(mode(&cache.join("a")), 0o777);
    fs::write(cache.join("a/b/seen"), "").unwrap();
    assert!(rig.part(0).join("seen").exists());
    assert_eq!(fs::read(rig.part(1)).unwrap(), b"one");
    // Another file has its name now.
    fs::write(cache.join("next"), "two").unwrap();
    fs::rename(cache.join("next"), cache.join("file")).unwrap();
    prepare().unwrap();
    assert_eq!(fs::read(rig.part(1)).unwrap(), b"two");
    assert_eq!(MountTable::read().unwrap().below(&rig.pod_folder()).count(), 2);
    rig.remove();
}

#[test]
fn no_link_leads_out_of_a_volume() {
    if !may_mount("no_link_leads_out_of_a_volume") {
        return;
    }
    let rig = Rig::new();
    let outside = rig.folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    rig.prepare(vec![disk("cache")], &[]).unwrap();
    let cache = rig.volume("cache");
    symlink(&outside, cache.join("absolute")).unwrap();
    symlink("../../../../../..", cache.join("relative")).unwrap();
    symlink("/proc/self/root", cache.join("magic")).unwrap();
    symlink("endless", cache.join("endless")).unwrap();
    let part = |path| rig.prepare(vec![disk("cache")], &[("cache", path)]);
    for path in ["absolute", "absolute/new", "relative", "relative/etc", "magic", "endless"] {
        let error = part(path).unwrap_err().to_string();
        assert!(error.ends_with("leads out of the volume"), "{path}: {error}");
    }
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    fs::create_dir(cache.join("inside")).unwrap();
    symlink("inside", cache.join("link")).unwrap();
    part("link").unwrap();
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    assert_eq!(inode(&rig.part(0)), inode(&cache.join("inside")));
    rig.remove();
}

#[test]
fn what_is_mounted_of_the_node_is_never_removed_with_a_pod() {
    if !may_mount("what_is_mounted_of_the_node_is_never_removed_with_a_pod") {
        return;
    }
    let rig = Rig::new();
    let precious = rig.folder.path().join("precious");
    fs::create_dir_all(precious.join("sub")).unwrap();
    fs::write(precious.join("sub/file"), "x").unwrap();
    let prepare = || {
        let host = host(&precious, HostPathType::Directory);
        rig.prepare(vec![host, disk("cache")], &[("host", "sub")]).unwrap();
    };
    prepare();
    rig.remove();
    assert!(precious.join("sub/file").exists());
    // A place that is no mount any more and not empty is not removed either.
    prepare();
    remove::unmount(&rig.part(0)).unwrap();
    fs::write(rig.part(0).join("left"), "x").unwrap();
    assert!(rig.volumes.remove(&owner(), uid(1)).is_err());
    fs::remove_file(rig.part(0).join("left")).unwrap();
    rig.remove();
}

#[test]
fn what_the_node_mounts_below_a_part_stays_mounted_on_the_node() {
    if !may_mount("what_the_node_mounts_below_a_part_stays_mounted_on_the_node") {
        return;
    }
    let rig = Rig::new();
    let disk = rig.folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let mount = |point: &Path| {
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("tmpfs", point, "tmpfs", flags, None).unwrap();
    };
    mount(&disk);
    // As systemd leaves every file system of a node.
    rustix::mount::mount_change(&disk, rustix::mount::MountPropagationFlags::SHARED).unwrap();
    let nested = disk.join("sub/nested");
    fs::create_dir_all(&nested).unwrap();
    let prepare = || {
        rig.prepare(vec![host(&disk, HostPathType::Directory)], &[("host", "sub")]).unwrap();
    };
    // The second time as an agent that was killed right after it had mounted left it.
    for was_killed in [false, true] {
        prepare();
        if was_killed {
            remove::unmount(&rig.part(0)).unwrap();
            rustix::mount::mount_bind(disk.join("sub"), rig.part(0)).unwrap();
        }
        mount(&nested);
        fs::create_dir(nested.join("deeper")).unwrap();
        mount(&nested.join("deeper"));
        fs::write(nested.join("deeper/precious"), "x").unwrap();
        assert!(rig.part(0).join("nested/deeper/precious").exists(), "it is seen");
        rig.remove();
        assert!(nested.join("deeper/precious").exists());
        remove::unmount(&nested.join("deeper")).unwrap();
        remove::unmount(&nested).unwrap();
    }
    remove::unmount(&disk).unwrap();
}

#[test]
fn a_folder_is_removed_however_deep_it_is() {
    let rig = Rig::new();
    rig.prepare(vec![disk("cache")], &[]).unwrap();
    let top = rig.volume("cache");
    fs::create_dir_all(top.join("removed-0/removed-0/empty")).unwrap();
    fs::write(top.join("removed-0/removed-1"), "x").unwrap();
    std::os::unix::fs::symlink("/etc", top.join("removed-0/link")).unwrap();
    let mut held = std::fs::File::open(&top).unwrap();
    for _ in 0..20_000 {
        rustix::fs::mkdirat(&held, "d", rustix::fs::Mode::RWXU).unwrap();
        let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::RDONLY;
        let mode = rustix::fs::Mode::empty();
        held = rustix::fs::openat(&held, "d", flags, mode).unwrap().into();
    }
    rig.remove();
    assert!(!rig.pod_folder().exists());
    assert!(Path::new("/etc/passwd").exists(), "a link is removed, not what it leads to");
}

#[test]
fn everything_goes_with_the_data_directory_and_what_is_not_ours_stays() {
    let rig = Rig::new();
    rig.prepare(vec![disk("cache")], &[]).unwrap();
    let data_dir = rig.folder.path().join("data dir");
    fs::write(data_dir.join("volumes/foreign"), "").unwrap();
    assert!(purge(&data_dir).is_err());
    assert!(!rig.pod_folder().exists() && data_dir.join("volumes/foreign").exists());
    fs::remove_file(data_dir.join("volumes/foreign")).unwrap();
    purge(&data_dir).unwrap();
    purge(&data_dir).unwrap();
    assert!(!data_dir.join("volumes").exists());
}

#[test]
fn one_pods_volumes_are_made_by_one_at_a_time() {
    let rig = Rig::new();
    let turn = rig.volumes.take(uid(1)).unwrap();
    let error = rig.prepare(vec![disk("cache")], &[]).unwrap_err();
    assert!(matches!(error, VolumeError::Busy), "{error}");
    assert!(rig.volumes.remove(&owner(), uid(1)).is_err());
    drop(turn);
    rig.prepare(vec![disk("cache")], &[]).unwrap();
}

fn files(name: &str, content: impl Fn(&str) -> FileContent) -> Volume<VolumeFiles> {
    let file = |path: &str| VolumeFile {
        path: path.to_owned(),
        mode: FileMode::DEFAULT,
        content: content(path),
    };
    volume(name, VolumeSource::Files(["a", "b/c"].map(file).into()))
}

#[test]
fn files_without_a_secret_are_on_the_disk_and_written_once() {
    let rig = Rig::new();
    let plain = || vec![files("plain", |path| FileContent::Plain(path.as_bytes().into()))];
    rig.prepare(plain(), &[]).unwrap();
    let folder = rig.volume("plain");
    let inode = || fs::metadata(folder.join("b/c")).unwrap().ino();
    let before = inode();
    rig.prepare(plain(), &[]).unwrap();
    assert_eq!(inode(), before);
    assert_eq!(fs::read(folder.join("b/c")).unwrap(), b"b/c");
    assert_eq!(fs::read_link(folder.join("a")).unwrap(), Path::new("..data/a"));
    rig.remove();
}

#[test]
fn secrets_are_in_memory_alone_and_a_part_of_them_is_a_file() {
    if !may_mount("secrets_are_in_memory_alone_and_a_part_of_them_is_a_file") {
        return;
    }
    let rig = Rig::new();
    let private = || vec![files("private", |path| FileContent::Secret(SecretValue::new(path)))];
    rig.prepare(private(), &[("private", "b/c")]).unwrap();
    rig.prepare(private(), &[("private", "b/c")]).unwrap();
    let folder = rig.volume("private");
    assert_eq!(fs::read(folder.join("a")).unwrap(), b"a");
    assert_eq!(fs::read(rig.part(0)).unwrap(), b"b/c");
    assert_eq!(MountTable::read().unwrap().below(&rig.pod_folder()).count(), 2);
    remove::unmount(&rig.part(0)).unwrap();
    remove::unmount(&folder).unwrap();
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "nothing is below the mount");
    // As after the node was started anew.
    rig.prepare(private(), &[("private", "b/c")]).unwrap();
    assert_eq!(fs::read(rig.part(0)).unwrap(), b"b/c");
    rig.remove();
}

/// Does something in a thread that may not mount, whoever runs the tests.
fn without_the_right_to_mount<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let limited = scope.spawn(|| {
            let mut rights = rustix::thread::capabilities(None).unwrap();
            rights.effective.remove(CapabilitySet::SYS_ADMIN);
            rustix::thread::set_capabilities(None, rights).unwrap();
            act()
        });
        limited.join().unwrap()
    })
}

#[test]
fn an_agent_that_may_not_mount_says_so_and_writes_no_secret_to_the_disk() {
    let rig = Rig::new();
    let private = || vec![files("private", |path| FileContent::Secret(SecretValue::new(path)))];
    let memory = || {
        let limit = EmptyDir::Memory { size_limit_bytes: None };
        vec![volume("fast", VolumeSource::EmptyDir(limit))]
    };
    for volumes in [private(), memory()] {
        let error = without_the_right_to_mount(|| rig.prepare(volumes, &[])).unwrap_err();
        assert!(error.to_string().ends_with("run the agent as root"), "{error}");
    }
    let part = || rig.prepare(vec![disk("cache")], &[("cache", "a")]);
    let error = without_the_right_to_mount(part).unwrap_err();
    assert!(error.to_string().ends_with("run the agent as root"), "{error}");
    assert_eq!(fs::read_dir(rig.volume("private")).unwrap().count(), 0);
    rig.remove();
}

#[test]
fn a_volume_of_files_has_a_place_for_what_is_mounted_in_it() {
    let rig = Rig::new();
    let config = files("config", |text| FileContent::Plain(text.as_bytes().into()));
    let mut template = template("web");
    let mount = |volume: &str, path: &str| VolumeMount {
        volume: volume.to_owned(),
        path: path.to_owned(),
        access: MountAccess::ReadWrite,
        sub_path: None,
        propagation: MountPropagation::None,
    };
    template.containers[0].mounts = [
        mount("config", "/etc/app"),
        mount("cache", "/etc/app/n/cache/"),
        mount("cache", "/etc/apple"),
    ]
    .into();
    template.volumes = vec![config, disk("cache")].into();
    for _ in 0..2 {
        rig.prepare_with(template.clone()).unwrap();
        assert!(rig.volume("config").join("n/cache").is_dir());
        assert!(!rig.volume("config").join("le").exists());
    }
    rig.remove();
}

#[test]
fn files_that_cannot_be_told_from_folders_are_refused_with_their_volume() {
    let rig = Rig::new();
    let file = |path: &str| VolumeFile {
        path: path.to_owned(),
        mode: FileMode::DEFAULT,
        content: FileContent::Plain(b"x".as_slice().into()),
    };
    let both = volume("both", VolumeSource::Files(["a", "a/b"].map(file).into()));
    let error = rig.prepare(vec![both], &[]).unwrap_err().to_string();
    assert!(
        error.starts_with("MountVolume.SetUp failed for volume \"both\" : its files"),
        "{error}"
    );
}
