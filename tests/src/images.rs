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
    let program = example_program();
    let spec_of = |version| spec(&format!("dugout-web:{version}"), version, program.clone());
    import(docker_host, ["1.0", "1.1", "2.0"].map(spec_of));
}

/// Makes an image that shares no layer with any other, so that a pull has something to do.
pub fn make_unlike_others(name: &str) {
    let mut program = example_program();
    // What stands behind the program's last section changes the layer and not the program.
    program.extend_from_slice(name.as_bytes());
    import(None, [spec(name, "1.0", program)]);
}

/// Makes `dugout-busybox:1`, whose `/bin/busybox` runs scripts, on the engine at its usual place.
pub fn ensure_busybox() {
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| {
        let program = std::fs::read("/bin/busybox").expect("install busybox-static");
        let spec = ImageSpec {
            name: "dugout-busybox:1".to_owned(),
            program_path: "/bin/busybox".to_owned(),
            program,
            env: Vec::new(),
            exposed_ports: Vec::new(),
            user: "65532:65532".to_owned(),
        };
        import(None, [spec]);
    });
}

fn example_program() -> Vec<u8> {
    std::fs::read(program("DUGOUT_WEB_BIN", "dugout-web"))
        .expect("the example's program can be read; run `make build`")
}

fn spec(name: &str, version: &str, program: Vec<u8>) -> ImageSpec {
    ImageSpec {
        name: name.to_owned(),
        program_path: "/dugout-web".to_owned(),
        program,
        env: vec![format!("VERSION={version}"), "PORT=8080".to_owned()],
        exposed_ports: vec![8080],
        user: "65532:65532".to_owned(),
    }
}

fn import(docker_host: Option<&str>, specs: impl IntoIterator<Item = ImageSpec>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made");
    runtime.block_on(async {
        let local = Local::connect(docker_host)
            .await
            .expect("a container engine answers; run `make setup`");
        for spec in specs {
            local.import_image(spec).await.expect("the image can be made");
        }
    });
}
