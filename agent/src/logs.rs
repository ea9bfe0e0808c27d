//! Where the link finds the logs that somebody asks for.

use std::sync::Arc;

use bytes::Bytes;
use dugout_model::PodUid;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use tokio::sync::watch;

use crate::driver::Directory;
use crate::link::LogSource;
use crate::runtime::{ContainerRuntime, LogOptions, RuntimeError};

pub(crate) struct Logs<R> {
    runtime: Arc<R>,
    directory: watch::Receiver<Arc<Directory>>,
}

impl<R> Logs<R> {
    pub fn new(runtime: Arc<R>, directory: watch::Receiver<Arc<Directory>>) -> Self {
        Self { runtime, directory }
    }
}

impl<R: ContainerRuntime> LogSource for Logs<R> {
    fn open(
        &self,
        pod: PodUid,
        container: Option<String>,
        options: LogOptions,
    ) -> BoxFuture<'static, Result<BoxStream<'static, Result<Bytes, RuntimeError>>, String>> {
        let directory = Arc::clone(&self.directory.borrow());
        let found = container_of(&directory, pod, container.as_deref());
        let opened = found.map(|id| self.runtime.logs(&id, options));
        Box::pin(async move { opened })
    }
}

/// The engine's id of a container of a pod; of its only one when none is named. The error is a sentence.
pub(crate) fn container_of(
    directory: &Directory,
    pod: PodUid,
    container: Option<&str>,
) -> Result<String, String> {
    let containers = directory.get(&pod).map_or(&[][..], Vec::as_slice);
    match (container, containers) {
        (_, []) => Err("the pod has no container on its node yet".to_owned()),
        (None, [(_, id)]) => Ok(id.clone()),
        (None, several) => {
            let names: Vec<&str> = several.iter().map(|(name, _)| name.as_str()).collect();
            Err(format!("the pod has several containers; name one of {}", names.join(", ")))
        }
        (Some(name), several) => several
            .iter()
            .find(|(candidate, _)| candidate == name)
            .map(|(_, id)| id.clone())
            .ok_or_else(|| format!("the pod has no container {name}")),
    }
}
