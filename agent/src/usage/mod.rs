//! What the node and its containers use of the machine, read from the kernel when somebody asks for metrics.
//!
//! The engine is not asked: the driver says which containers run, with their first processes, and the rest
//! stands in `/proc` and `/sys/fs/cgroup`. Nothing is read while nobody asks, at most one reading is under way,
//! and one that does not come in time leaves the other metrics as they are.

mod cgroups;
mod container;
mod exposition;
mod files;
mod layers;
mod network;
mod node;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dugout_model::{NamespaceName, ObjectName, Timestamp};
use tokio::sync::Semaphore;

use cgroups::{ContainerGroups, Hierarchies};
use container::ContainerUsage;
use files::Files;
use layers::Layers;
use network::Network;
use node::{Devices, FileSystem, Holds, NodeUsage};

/// What a reading may take before metrics go out without it.
const DEADLINE: Duration = Duration::from_secs(2);
/// After this no further container is read; those that are left are not told this time.
const SOFT_DEADLINE: Duration = Duration::from_millis(1_500);
/// What several ask for at the same time is read once.
const FRESH: Duration = Duration::from_millis(250);

/// The place of a pod's container in metrics. Two attempts of a container never run at the same time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContainerName {
    pub namespace: NamespaceName,
    pub pod: ObjectName,
    pub container: String,
}

/// What is read of a container that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// What it uses itself; its network is read with another one of its pod, or is the node's.
    Container,
    ContainerAndNetwork,
    /// Of a sandbox, which only holds the network of its pod.
    Network,
}

/// A container that runs, and where the kernel tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    pub id: String,
    pub process_id: u32,
    pub image: String,
    pub started_at: Timestamp,
    /// The folder with what it wrote into its own layer, where the engine's driver has one.
    pub layer: Option<PathBuf>,
    pub scope: Scope,
}

/// The containers that run, each name once: a family with two equal series would be refused as a whole.
pub type MeasuredContainers = BTreeMap<ContainerName, Measured>;

/// What was read at one time.
#[derive(Debug)]
struct Reading {
    at: Instant,
    node: NodeUsage,
    containers: Vec<(ContainerName, ContainerReading)>,
    /// There was no time for all containers.
    is_cut: bool,
}

#[derive(Debug)]
struct ContainerReading {
    image: String,
    started_at: Timestamp,
    /// `None` of a sandbox.
    usage: Option<ContainerUsage>,
    layer_bytes: Option<u64>,
    network: Network,
    /// The names of its disks, in the order of their numbers.
    devices: Vec<String>,
}

/// What is known between two readings. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Usage(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// `None` while the containers are not known to run on this machine.
    machine: Mutex<Option<Machine>>,
    containers: Mutex<Arc<MeasuredContainers>>,
    reading: Mutex<Option<Arc<Reading>>>,
    file_systems: Mutex<Vec<FileSystem>>,
    layers: Mutex<Layers>,
    places: Places,
}

/// The right to each kind of work, so that what hangs takes one thread for ever, and not one each time.
#[derive(Debug)]
struct Places {
    reading: Arc<Semaphore>,
    file_systems: Arc<Semaphore>,
    layers: Arc<Semaphore>,
}

impl Default for Places {
    fn default() -> Self {
        let one = || Arc::new(Semaphore::new(1));
        Self { reading: one(), file_systems: one(), layers: one() }
    }
}

/// This machine, on which the engine runs, too.
#[derive(Debug, Default)]
struct Machine {
    folders: Vec<(Holds, PathBuf)>,
}

impl Usage {
    /// From now on this machine is measured: it is the one on which the engine runs. `folders` are those with
    /// the agent's files and volumes.
    pub fn begin(&self, folders: impl IntoIterator<Item = PathBuf>) {
        let folders = folders.into_iter().map(|folder| (Holds::Data, folder)).collect();
        *held(&self.0.machine) = Some(Machine { folders });
    }

    /// The folder in which the engine has its images and layers.
    pub fn learn_images_folder(&self, folder: PathBuf) {
        if let Some(machine) = held(&self.0.machine).as_mut() {
            machine.folders.retain(|(holds, _)| *holds != Holds::Images);
            machine.folders.push((Holds::Images, folder));
        }
    }

    /// Says which containers run now.
    pub fn measure(&self, containers: MeasuredContainers) {
        *held(&self.0.containers) = Arc::new(containers);
    }

    /// The containers that were said to run.
    pub fn measured(&self) -> Arc<MeasuredContainers> {
        Arc::clone(&held(&self.0.containers))
    }

    /// Reads anew, where what is known is not fresh. Returns within two seconds.
    pub async fn refresh(&self) {
        if held(&self.0.machine).is_none() {
            return;
        }
        let reading = async {
            let places = &self.0.places;
            let Ok(place) = Arc::clone(&places.reading).acquire_owned().await else { return };
            if held(&self.0.reading).as_ref().is_some_and(|last| last.at.elapsed() < FRESH) {
                return;
            }
            let shared = Arc::clone(&self.0);
            let reading = tokio::task::spawn_blocking(move || {
                let _place = place;
                let reading = shared.read(Files::of_this_machine());
                *held(&shared.reading) = Some(Arc::new(reading));
            });
            let file_systems = self.read_file_systems();
            let _ = tokio::join!(reading, file_systems);
        };
        // What hangs is told as missing.
        let _ = tokio::time::timeout(DEADLINE, reading).await;
        self.look_at_layers();
    }

    /// Where an earlier look does not hang.
    async fn read_file_systems(&self) {
        let place = Arc::clone(&self.0.places.file_systems);
        let Ok(place) = place.try_acquire_owned() else { return };
        let folders = held(&self.0.machine).as_ref().map(|machine| machine.folders.clone());
        let shared = Arc::clone(&self.0);
        let reading = tokio::task::spawn_blocking(move || {
            let _place = place;
            let mut files = Files::of_this_machine();
            let found = node::file_systems(&mut files, &folders.unwrap_or_default());
            *held(&shared.file_systems) = found;
        });
        let _ = reading.await;
    }

    /// Looks at the layers that are due, in the background: the next reading knows of it.
    fn look_at_layers(&self) {
        let Ok(place) = Arc::clone(&self.0.places.layers).try_acquire_owned() else { return };
        let all: Vec<(String, PathBuf)> = self
            .measured()
            .values()
            .filter_map(|one| Some((one.id.clone(), one.layer.clone()?)))
            .collect();
        let due = held(&self.0.layers).due(&all, Instant::now());
        if due.is_empty() {
            return;
        }
        let shared = Arc::clone(&self.0);
        drop(tokio::task::spawn_blocking(move || {
            let _place = place;
            let found = layers::look_round(due);
            held(&shared.layers).take(found, &all);
        }));
    }
}

impl Shared {
    fn read(&self, mut files: Files) -> Reading {
        let at = Instant::now();
        let devices = Devices::read(&mut files);
        let node = NodeUsage::read(&mut files, &devices);
        let mut reading = Reading { at, node, containers: Vec::new(), is_cut: false };
        let hierarchies = Hierarchies::read(&mut files);
        let known = hierarchies.as_ref();
        let containers = Arc::clone(&held(&self.containers));
        for (name, measured) in containers.iter() {
            if at.elapsed() > SOFT_DEADLINE {
                reading.is_cut = true;
                break;
            }
            let read =
                known.and_then(|known| read_container(&mut files, known, &devices, measured));
            reading.containers.extend(read.map(|mut read| {
                read.layer_bytes = held(&self.layers).bytes_of(&measured.id);
                (name.clone(), read)
            }));
        }
        // Each of several may just have ended, but not all of them.
        let is_blind = containers.len() > 1 && reading.containers.is_empty();
        reading.is_cut |= hierarchies.is_none() || is_blind;
        reading
    }
}

/// `None` when it does not run any more.
fn read_container(
    files: &mut Files,
    hierarchies: &Hierarchies,
    devices: &Devices,
    measured: &Measured,
) -> Option<ContainerReading> {
    let Measured { id, process_id, image, started_at, layer: _, scope } = measured;
    let groups = ContainerGroups::find(files, hierarchies, *process_id, id)?;
    let usage = match scope {
        Scope::Network => None,
        Scope::Container | Scope::ContainerAndNetwork => Some(ContainerUsage::read(files, &groups)),
    };
    let network = match scope {
        Scope::Container => None,
        Scope::Network | Scope::ContainerAndNetwork => network::of_process(files, *process_id),
    };
    let numbers = usage.iter().flat_map(|usage| usage.disks.keys());
    let devices = numbers.map(|number| devices.name(*number)).collect();
    Some(ContainerReading {
        image: image.clone(),
        started_at: *started_at,
        usage,
        layer_bytes: None,
        network: network.unwrap_or_default(),
        devices,
    })
}

/// Nothing is left half done while one of these is held.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
