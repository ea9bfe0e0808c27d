//! The identity of a resolved template: a hash over everything that it says.
//!
//! Every structure is taken apart field by field, so that a new field cannot be forgotten, and every
//! text and list carries its length, so that two different templates never encode alike. Changing the
//! encoding gives every template another identity and so restarts every pod: a golden test guards it.

mod security;

use std::time::Duration;

use dugout_model::{
    ClaimName, ClaimVolume, Container, ContainerLifecycle, ContainerPort, ContainerResources,
    EmptyDir, EnvContent, EnvValue, FileContent, FileField, HostPath, HostPort, HttpGetAction,
    HttpScheme, LifecycleHandler, MountAccess, MountPropagation, NodeResource, NodeResourceKind,
    PodField, PortRef, Probe, ProbeAction, Protocol, PullPolicy, ResolvedTemplate, RestartPolicy,
    Streams, StringMap, SubPath, TemplateHash, Volume, VolumeFile, VolumeFiles, VolumeMount,
    VolumeSource,
};
use sha2::{Digest, Sha256};

/// The identity of a template: SHA-256 over its canonical encoding, in hexadecimal.
pub fn template_hash(template: &ResolvedTemplate) -> TemplateHash {
    let ResolvedTemplate {
        labels,
        annotations,
        init_containers,
        containers,
        restart_policy,
        termination_grace,
        node_selector,
        volumes,
        image_pull_secrets,
        security,
        names,
    } = template;
    let mut encoder = Encoder(Sha256::new());
    encoder.text("dugout template 1");
    encoder.map(labels);
    encoder.map(annotations);
    encoder.list(containers, Encoder::container);
    encoder.duration(*termination_grace);
    encoder.map(node_selector);
    // What came later is written only where it is not the default: templates keep their identity.
    if *restart_policy != RestartPolicy::Always {
        encoder.restart_policy(*restart_policy);
    }
    if !init_containers.is_empty() {
        encoder.text("init containers");
        encoder.list(init_containers, Encoder::container);
    }
    if !volumes.is_empty() {
        encoder.text("volumes");
        encoder.list(volumes, Encoder::volume);
    }
    if !image_pull_secrets.is_empty() {
        encoder.text("image pull secrets");
        encoder.list(image_pull_secrets, |encoder, name| encoder.text(name.as_str()));
    }
    if let Some(security) = security {
        encoder.text("security");
        encoder.pod_security(security);
    }
    if let Some(names) = names {
        encoder.text("names");
        encoder.names(names);
    }
    TemplateHash::new(hex::encode(encoder.0.finalize()))
}

struct Encoder(Sha256);

impl Encoder {
    fn restart_policy(&mut self, policy: RestartPolicy) {
        self.text(match policy {
            RestartPolicy::Always => "restart always",
            RestartPolicy::OnFailure => "restart on failure",
            RestartPolicy::Never => "restart never",
        });
    }

    fn number(&mut self, number: u64) {
        self.0.update(number.to_be_bytes());
    }

    /// The number of a case of an enum.
    fn tag(&mut self, tag: u8) {
        self.0.update([tag]);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn duration(&mut self, duration: Duration) {
        self.number(duration.as_secs());
        self.number(u64::from(duration.subsec_nanos()));
    }

    fn list<T>(&mut self, items: &[T], mut each: impl FnMut(&mut Self, &T)) {
        self.number(items.len() as u64);
        for item in items {
            each(self, item);
        }
    }

    fn option<T>(&mut self, item: Option<T>, each: impl FnOnce(&mut Self, T)) {
        match item {
            None => self.tag(0),
            Some(item) => {
                self.tag(1);
                each(self, item);
            }
        }
    }

    fn map(&mut self, map: &StringMap) {
        self.number(map.len() as u64);
        for (key, value) in map {
            self.text(key);
            self.text(value);
        }
    }

    fn container(&mut self, container: &Container<EnvValue>) {
        let Container {
            name,
            image,
            pull_policy,
            command,
            args,
            working_dir,
            env,
            ports,
            resources,
            startup_probe,
            readiness_probe,
            liveness_probe,
            lifecycle,
            restart_policy,
            mounts,
            security,
            streams,
        } = container;
        self.text(name);
        self.text(image);
        self.tag(match pull_policy {
            PullPolicy::Always => 0,
            PullPolicy::IfNotPresent => 1,
            PullPolicy::Never => 2,
        });
        self.list(command, |encoder, word| encoder.text(word));
        self.list(args, |encoder, word| encoder.text(word));
        self.option(working_dir.as_deref(), Self::text);
        self.list(env, Self::env);
        self.list(ports, Self::port);
        self.resources(resources);
        self.option(startup_probe.as_deref(), Self::probe);
        self.option(readiness_probe.as_deref(), Self::probe);
        self.option(liveness_probe.as_deref(), Self::probe);
        if let Some(policy) = restart_policy {
            self.text("restart policy");
            self.restart_policy(*policy);
        }
        if !mounts.is_empty() {
            self.text("mounts");
            self.list(mounts, Self::mount);
        }
        if let Some(lifecycle) = lifecycle {
            self.text("lifecycle");
            self.lifecycle(lifecycle);
        }
        for (kind, probe) in [
            ("startup", startup_probe),
            ("readiness", readiness_probe),
            ("liveness", liveness_probe),
        ] {
            if let Some(grace) = probe.as_ref().and_then(|probe| probe.termination_grace) {
                self.text("grace of the probe");
                self.text(kind);
                self.duration(grace);
            }
        }
        if let Some(security) = security {
            self.text("security");
            self.container_security(security);
        }
        if *streams != Streams::default() {
            self.text("streams");
            self.streams(*streams);
        }
    }

    fn lifecycle(&mut self, lifecycle: &ContainerLifecycle) {
        let ContainerLifecycle { post_start, pre_stop, stop_signal } = lifecycle;
        self.option(post_start.as_ref(), Self::handler);
        self.option(pre_stop.as_ref(), Self::handler);
        self.option(stop_signal.as_deref(), Self::text);
    }

    fn handler(&mut self, handler: &LifecycleHandler) {
        match handler {
            LifecycleHandler::HttpGet(action) => {
                self.tag(0);
                self.http_get(action);
            }
            LifecycleHandler::TcpSocket { host, port } => {
                self.tag(1);
                self.option(host.as_deref(), Self::text);
                self.port_ref(port);
            }
            LifecycleHandler::Exec { command } => {
                self.tag(2);
                self.list(command, |encoder, word| encoder.text(word));
            }
            LifecycleHandler::Sleep(time) => {
                self.tag(3);
                self.duration(*time);
            }
        }
    }

    fn volume(&mut self, volume: &Volume<VolumeFiles>) {
        let Volume { name, source } = volume;
        self.text(name);
        match source {
            VolumeSource::EmptyDir(EmptyDir::Disk) => self.tag(0),
            VolumeSource::EmptyDir(EmptyDir::Memory { size_limit_bytes }) => {
                self.tag(1);
                self.option(*size_limit_bytes, Self::number);
            }
            VolumeSource::HostPath(HostPath { path, path_type }) => {
                self.tag(2);
                self.text(path);
                self.text(path_type.as_str());
            }
            VolumeSource::Files(files) => {
                self.tag(3);
                self.list(files, Self::file);
            }
            VolumeSource::Claim(ClaimVolume { claim, access }) => {
                self.tag(4);
                match claim {
                    ClaimName::Named(name) => {
                        self.tag(0);
                        self.text(name.as_str());
                    }
                    ClaimName::OfTemplate(template) => {
                        self.tag(1);
                        self.text(template.as_str());
                    }
                }
                self.tag(match access {
                    MountAccess::ReadWrite => 0,
                    MountAccess::ReadOnly => 1,
                });
            }
        }
    }

    fn file(&mut self, file: &VolumeFile) {
        let VolumeFile { path, mode, content } = file;
        self.text(path);
        self.number(mode.bits().into());
        match content {
            FileContent::Plain(bytes) => {
                self.tag(0);
                self.bytes(bytes);
            }
            FileContent::Secret(secret) => {
                self.tag(1);
                self.bytes(secret.expose());
            }
            FileContent::Field(FileField::Labels) => self.tag(2),
            FileContent::Field(FileField::Annotations) => self.tag(3),
            FileContent::Field(FileField::One(field)) => {
                self.tag(4);
                self.field(field);
            }
            FileContent::NodeResource(NodeResource { kind, divisor }) => {
                self.tag(5);
                self.tag(match kind {
                    NodeResourceKind::Cpu => 0,
                    NodeResourceKind::Memory => 1,
                });
                self.number(*divisor);
            }
        }
    }

    fn mount(&mut self, mount: &VolumeMount) {
        let VolumeMount { volume, path, access, sub_path, propagation } = mount;
        self.text(volume);
        self.text(path);
        self.tag(match access {
            MountAccess::ReadWrite => 0,
            MountAccess::ReadOnly => 1,
        });
        match sub_path {
            None => self.tag(0),
            Some(SubPath::Fixed(path)) => {
                self.tag(1);
                self.text(path);
            }
            Some(SubPath::Expanded(expression)) => {
                self.tag(2);
                self.text(expression);
            }
        }
        self.tag(match propagation {
            MountPropagation::None => 0,
            MountPropagation::HostToContainer => 1,
        });
    }

    fn env(&mut self, env: &EnvValue) {
        let EnvValue { name, content } = env;
        self.text(name);
        match content {
            EnvContent::Text(text) => {
                self.tag(0);
                self.text(text);
            }
            EnvContent::Secret(secret) => {
                self.tag(1);
                self.bytes(secret.expose());
            }
            EnvContent::Field(field) => {
                self.tag(2);
                self.field(field);
            }
            EnvContent::NodeResource(NodeResource { kind, divisor }) => {
                self.tag(3);
                self.tag(match kind {
                    NodeResourceKind::Cpu => 0,
                    NodeResourceKind::Memory => 1,
                });
                self.number(*divisor);
            }
        }
    }

    fn field(&mut self, field: &PodField) {
        match field {
            PodField::Name => self.tag(0),
            PodField::Namespace => self.tag(1),
            PodField::Uid => self.tag(2),
            PodField::NodeName => self.tag(3),
            PodField::Label(key) => {
                self.tag(4);
                self.text(key);
            }
            PodField::Annotation(key) => {
                self.tag(5);
                self.text(key);
            }
        }
    }

    fn port(&mut self, port: &ContainerPort) {
        let ContainerPort { name, container_port, protocol, host } = port;
        self.text(name);
        self.number(u64::from(*container_port));
        self.tag(match protocol {
            Protocol::Tcp => 0,
            Protocol::Udp => 1,
        });
        // It came later: a port without one has the hash that it always had.
        if let Some(HostPort { port, address }) = host {
            self.text("host port");
            self.number(u64::from(*port));
            self.text(&address.map(|address| address.to_string()).unwrap_or_default());
        }
    }

    fn resources(&mut self, resources: &ContainerResources) {
        let ContainerResources {
            cpu_request_millis,
            memory_request_bytes,
            cpu_limit_millis,
            memory_limit_bytes,
        } = resources;
        self.number(*cpu_request_millis);
        self.number(*memory_request_bytes);
        self.option(*cpu_limit_millis, Self::number);
        self.option(*memory_limit_bytes, Self::number);
    }

    fn probe(&mut self, probe: &Probe) {
        // Its grace stands at the end of the container, where it is not the default.
        let Probe {
            action,
            initial_delay,
            period,
            timeout,
            success_threshold,
            failure_threshold,
            termination_grace: _,
        } = probe;
        self.probe_action(action);
        self.duration(*initial_delay);
        self.duration(*period);
        self.duration(*timeout);
        self.number(u64::from(*success_threshold));
        self.number(u64::from(*failure_threshold));
    }

    fn probe_action(&mut self, action: &ProbeAction) {
        match action {
            ProbeAction::HttpGet(action) => {
                self.tag(0);
                self.http_get(action);
            }
            ProbeAction::TcpSocket { host, port } => {
                self.tag(1);
                self.option(host.as_deref(), Self::text);
                self.port_ref(port);
            }
            ProbeAction::Exec { command } => {
                self.tag(2);
                self.list(command, |encoder, word| encoder.text(word));
            }
            ProbeAction::Grpc { port, service } => {
                self.tag(3);
                self.number(u64::from(*port));
                self.text(service);
            }
        }
    }

    fn http_get(&mut self, action: &HttpGetAction) {
        let HttpGetAction { scheme, host, port, path, headers } = action;
        self.tag(match scheme {
            HttpScheme::Http => 0,
            HttpScheme::Https => 1,
        });
        self.option(host.as_deref(), Self::text);
        self.port_ref(port);
        self.text(path);
        self.list(headers, |encoder, (name, value)| {
            encoder.text(name);
            encoder.text(value);
        });
    }

    fn port_ref(&mut self, port: &PortRef) {
        match port {
            PortRef::Number(number) => {
                self.tag(0);
                self.number(u64::from(*number));
            }
            PortRef::Name(name) => {
                self.tag(1);
                self.text(name);
            }
        }
    }
}
