//! Docker's side of copies: its archives.

use std::io;

use bollard::Docker;
use bollard::body_try_stream;
use bollard::query_parameters::{
    ContainerArchiveInfoOptionsBuilder, DownloadFromContainerOptionsBuilder,
    UploadToContainerOptionsBuilder,
};
use bytes::Bytes;
use dugout_wire as wire;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::{DockerRuntime, QUICK, classify};
use crate::runtime::{PermanentKind, RuntimeError};
use crate::sessions::{ArchiveEngine, LONGEST_SESSION};

/// Folders and links in the modes that the engine tells, which are those of Go's `os.FileMode`.
const FOLDER: u32 = 1 << 31;

impl ArchiveEngine for DockerRuntime {
    async fn look_at(&self, container: &str, path: &str) -> Result<wire::PathStatus, RuntimeError> {
        let look = |docker: Docker| async move { docker.inspect_container(container, None).await };
        let config = self.call("inspect", QUICK, look).await?.config.unwrap_or_default();
        let owner = owner(config.user.as_deref().unwrap_or_default());
        let options = ContainerArchiveInfoOptionsBuilder::new().path(path).build();
        let look = |docker: Docker| async move {
            docker.get_container_archive_info(container, Some(options)).await
        };
        let path = path.to_owned();
        match self.call("look at a path", QUICK, look).await {
            Ok(found) => Ok(wire::PathStatus {
                path,
                kind: match found.file_mode & FOLDER {
                    0 => wire::PathKind::File,
                    _ => wire::PathKind::Folder,
                },
                link_target: Some(found.link_target).filter(|target| !target.is_empty()),
                owner,
            }),
            Err(error) if error.permanent_kind() == Some(PermanentKind::NotFound) => {
                Ok(wire::PathStatus {
                    path,
                    kind: wire::PathKind::Absent,
                    link_target: None,
                    owner,
                })
            }
            Err(error) => Err(error),
        }
    }

    async fn working_dir(&self, container: &str) -> Result<String, RuntimeError> {
        let look = |docker: Docker| async move { docker.inspect_container(container, None).await };
        let config = self.call("inspect", QUICK, look).await?.config.unwrap_or_default();
        Ok(config.working_dir.filter(|folder| !folder.is_empty()).unwrap_or_else(|| "/".to_owned()))
    }

    async fn read_archive(
        &self,
        container: &str,
        path: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, RuntimeError>>, RuntimeError> {
        let docker = self.client("read an archive").await?;
        let options = DownloadFromContainerOptionsBuilder::new().path(path).build();
        let archive = docker.download_from_container(container, Some(options));
        Ok(archive.map_err(|error| classify("read an archive", error)).boxed())
    }

    async fn write_archive(
        &self,
        container: &str,
        folder: &str,
        archive: BoxStream<'static, io::Result<Bytes>>,
    ) -> Result<(), RuntimeError> {
        // The answer begins when all is written, which may take as long as a session may last.
        let docker = self.client("write an archive").await?.with_timeout(LONGEST_SESSION);
        let options = UploadToContainerOptionsBuilder::new()
            .path(folder)
            .no_overwrite_dir_non_dir("true")
            .build();
        docker
            .upload_to_container(container, Some(options), body_try_stream(archive))
            .await
            .map_err(|error| classify("write an archive", error))
    }
}

/// The numbers of a container's user; root's where it has a name, which only its image knows.
fn owner(user: &str) -> wire::Owner {
    let (user, group) = user.split_once(':').unwrap_or((user, ""));
    let uid = user.parse().unwrap_or(0);
    wire::Owner { uid, gid: group.parse().unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_containers_user_is_known_where_it_is_a_number() {
        for (user, uid, gid) in
            [("", 0, 0), ("1000", 1000, 0), ("1000:2000", 1000, 2000), ("web:web", 0, 0)]
        {
            assert_eq!(owner(user), wire::Owner { uid, gid }, "{user}");
        }
    }
}
