//! Where the kernel accounts for a container: its control groups, of version 1, 2, or both.
//!
//! The first process of a container says in which groups it is, whatever driver the engine makes them with
//! (`/docker/ID`, `/system.slice/docker-ID.scope`, below a parent that somebody chose); the table of mounts
//! says where each hierarchy is seen.

use std::path::{Path, PathBuf};

use super::files::Files;
use crate::volumes::unescape;

/// A hierarchy of groups as this process sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    point: PathBuf,
    /// The group that is seen there.
    root: PathBuf,
}

/// Where the hierarchies are mounted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hierarchies {
    /// Of version 1, by each controller.
    controllers: Vec<(String, Mount)>,
    unified: Vec<Mount>,
}

impl Hierarchies {
    /// `None` where none is seen.
    pub fn read(files: &mut Files) -> Option<Self> {
        let found = Self::parse(files.read(Path::new("/proc/self/mountinfo"))?);
        (found != Self::default()).then_some(found)
    }

    fn parse(table: &str) -> Self {
        let mut found = Self::default();
        for line in table.lines() {
            let Some((mount, system)) = line.split_once(" - ") else { continue };
            let mut mount = mount.split(' ').skip(3).map(|field| unescape(field.as_bytes()));
            let (Some(root), Some(point)) = (mount.next(), mount.next()) else { continue };
            let mount = Mount { point, root };
            let mut system = system.split(' ');
            match (system.next(), system.nth(1)) {
                (Some("cgroup2"), _) => found.unified.push(mount),
                (Some("cgroup"), Some(options)) => {
                    let words = options.split(',').filter(|word| *word != "rw" && *word != "ro");
                    found.controllers.extend(words.map(|word| (word.to_owned(), mount.clone())));
                }
                _ => {}
            }
        }
        found
    }
}

impl Mount {
    /// The folder of a group.
    fn folder(&self, group: &Path) -> Option<PathBuf> {
        Some(self.point.join(group.strip_prefix(&self.root).ok()?))
    }
}

/// The folder in which a controller tells of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group<'a> {
    V1(&'a Path),
    V2(&'a Path),
}

/// The groups of one container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ContainerGroups {
    controllers: Vec<(String, PathBuf)>,
    unified: Option<PathBuf>,
}

impl ContainerGroups {
    /// Those that a process is in, which has to be one of the container: its id may be another's meanwhile.
    pub fn find(
        files: &mut Files,
        hierarchies: &Hierarchies,
        process_id: u32,
        container: &str,
    ) -> Option<Self> {
        let path = PathBuf::from(format!("/proc/{process_id}/cgroup"));
        let found = Self::parse(files.read(&path)?, hierarchies, container);
        (found != Self::default()).then_some(found)
    }

    fn parse(text: &str, hierarchies: &Hierarchies, container: &str) -> Self {
        let mut found = Self::default();
        for line in text.lines() {
            let mut fields = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(group)) = (fields.next(), fields.next()) else { continue };
            let Some(group) = own_group(group, container) else { continue };
            if controllers.is_empty() {
                found.unified = hierarchies.unified.iter().find_map(|one| one.folder(&group));
                continue;
            }
            for controller in controllers.split(',') {
                let mounts = hierarchies.controllers.iter().filter(|(of, _)| of == controller);
                let folder = mounts.map(|(_, mount)| mount).find_map(|one| one.folder(&group));
                found.controllers.extend(folder.map(|folder| (controller.to_owned(), folder)));
            }
        }
        found
    }

    /// Where a controller tells of the container: in the hierarchy of its own, if it has one.
    pub fn of(&self, controller: &str) -> Option<Group<'_>> {
        let own = self.controllers.iter().find(|(of, _)| of == controller);
        own.map(|(_, folder)| Group::V1(folder)).or_else(|| self.unified.as_deref().map(Group::V2))
    }

    pub fn unified(&self) -> Option<&Path> {
        self.unified.as_deref()
    }
}

/// The group of the whole container. It may have made groups of its own inside, with its first process in one.
fn own_group(group: &str, container: &str) -> Option<PathBuf> {
    let start = group.find(container)?;
    let rest = &group[start..];
    let end = rest.find('/').unwrap_or(rest.len());
    Some(PathBuf::from(&group[..start + end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "2f8d2a4c9b1e";

    fn hierarchies() -> Hierarchies {
        Hierarchies::parse(
            "31 22 0:27 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
33 31 0:29 / /sys/fs/cgroup/memory rw,relatime shared:10 master:3 - cgroup cgroup rw,memory
34 31 0:30 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
35 31 0:31 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
",
        )
    }

    #[test]
    fn a_hybrid_machine_tells_in_the_hierarchy_of_each_controller() {
        let text = format!(
            "4:name=systemd:/docker/{ID}\n3:memory:/docker/{ID}\n2:cpu,cpuacct:/docker/{ID}/init\n0::/system.slice\n"
        );
        let groups = ContainerGroups::parse(&text, &hierarchies(), ID);
        let cpu = PathBuf::from(format!("/sys/fs/cgroup/cpu,cpuacct/docker/{ID}"));
        let memory = PathBuf::from(format!("/sys/fs/cgroup/memory/docker/{ID}"));
        assert_eq!(groups.of("cpuacct"), Some(Group::V1(&cpu)));
        assert_eq!(groups.of("memory"), Some(Group::V1(&memory)));
        // The group of the other version is not the container's.
        assert_eq!((groups.of("io"), groups.unified()), (None, None));
    }

    #[test]
    fn the_unified_hierarchy_has_every_controller_with_either_driver() {
        let mounts = "30 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n";
        let hierarchies = Hierarchies::parse(mounts);
        for group in [format!("/docker/{ID}"), format!("/system.slice/docker-{ID}.scope")] {
            let groups = ContainerGroups::parse(&format!("0::{group}/sub\n"), &hierarchies, ID);
            let folder = PathBuf::from(format!("/sys/fs/cgroup{group}"));
            assert_eq!(groups.of("memory"), Some(Group::V2(&folder)));
        }
    }

    #[test]
    fn a_hierarchy_of_which_a_part_is_seen_is_followed_from_there() {
        let mounts = "30 22 0:26 /machine/a /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let hierarchies = Hierarchies::parse(mounts);
        let inside = format!("0::/machine/a/docker/{ID}\n");
        let groups = ContainerGroups::parse(&inside, &hierarchies, ID);
        let folder = PathBuf::from(format!("/sys/fs/cgroup/docker/{ID}"));
        assert_eq!(groups.unified(), Some(folder.as_path()));
        let outside = format!("0::/machine/b/docker/{ID}\n");
        assert_eq!(ContainerGroups::parse(&outside, &hierarchies, ID), ContainerGroups::default());
    }

    #[test]
    fn a_process_of_something_else_tells_nothing() {
        let text = "3:memory:/docker/another\n0::/docker/another\n";
        assert_eq!(ContainerGroups::parse(text, &hierarchies(), ID), ContainerGroups::default());
    }
}
