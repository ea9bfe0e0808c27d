//! The manifests of a test's application: a web server behind a node port.

/// A small application; each field becomes part of its manifests.
#[derive(Clone, Debug)]
pub struct Application {
    pub name: String,
    pub namespace: String,
    pub image: String,
    pub replicas: u32,
    pub node_port: u16,
    pub greeting: String,
    /// More lines for the container, already indented by ten spaces.
    pub container_extra: String,
    /// What stands in `strategy`, already indented by four spaces.
    pub strategy: String,
    /// More lines for the deployment's spec, already indented by two spaces.
    pub spec_extra: String,
}

impl Application {
    pub fn new(namespace: &str, node_port: u16) -> Self {
        Self {
            name: "web".to_owned(),
            namespace: namespace.to_owned(),
            image: "dugout-web:1.0".to_owned(),
            replicas: 2,
            node_port,
            greeting: "hello".to_owned(),
            container_extra: String::new(),
            strategy: "    rollingUpdate:\n      maxSurge: 1\n      maxUnavailable: 0\n".to_owned(),
            spec_extra: String::new(),
        }
    }

    /// All objects in one file.
    pub fn manifests(&self) -> String {
        let documents = [self.namespace(), self.config_map(), self.service(), self.deployment()];
        documents.join("---\n")
    }

    fn namespace(&self) -> String {
        format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {}\n", self.namespace)
    }

    fn config_map(&self) -> String {
        let Self { name, namespace, greeting, .. } = self;
        format!(
            "apiVersion: v1
kind: ConfigMap
metadata:
  name: {name}
  namespace: {namespace}
data:
  GREETING: {greeting}
"
        )
    }

    fn service(&self) -> String {
        let Self { name, namespace, node_port, .. } = self;
        format!(
            "apiVersion: v1
kind: Service
metadata:
  name: {name}
  namespace: {namespace}
spec:
  type: NodePort
  selector:
    app: {name}
  ports:
    - port: 80
      targetPort: http
      nodePort: {node_port}
"
        )
    }

    fn deployment(&self) -> String {
        let Self {
            name, namespace, image, replicas, container_extra, strategy, spec_extra, ..
        } = self;
        format!(
            "apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  namespace: {namespace}
spec:
  replicas: {replicas}
  selector:
    matchLabels:
      app: {name}
  strategy:
{strategy}{spec_extra}  template:
    metadata:
      labels:
        app: {name}
    spec:
      terminationGracePeriodSeconds: 10
      containers:
        - name: {name}
          image: {image}
          imagePullPolicy: IfNotPresent
          ports:
            - name: http
              containerPort: 8080
          envFrom:
            - configMapRef:
                name: {name}
          readinessProbe:
            httpGet:
              path: /readyz
              port: http
            periodSeconds: 1
          resources:
            requests:
              cpu: 10m
              memory: 16Mi
{container_extra}"
        )
    }
}
