//! The example application's images, made once on the engine that the tests use.

use std::sync::OnceLock;

use dugout_agent::local::{ImageSpec, Local};

use crate::rig::program;

/// Makes `dugout-web:1.0`, `:1.1` and `:2.0` on the engine at its usual place.
pub fn ensure() {
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| make(None));
}

/// Makes the images on another engine.
pub fn make(docker_host: Option<&str>) {
    let program = std::fs::read(program("DUGOUT_WEB_BIN", "dugout-web"))
        .expect("the example's program can be read; run `make build`");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made");
    runtime.block_on(async {
        let local = Local::connect(docker_host)
            .await
            .expect("a container engine answers; run `make setup`");
        for version in ["1.0", "1.1", "2.0"] {
            let spec = ImageSpec {
                name: format!("dugout-web:{version}"),
                program_path: "/dugout-web".to_owned(),
                program: program.clone(),
                env: vec![format!("VERSION={version}"), "PORT=8080".to_owned()],
                exposed_ports: vec![8080],
                user: "65532:65532".to_owned(),
            };
            local.import_image(spec).await.expect("the image can be made");
        }
    });
}
