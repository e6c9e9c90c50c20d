//! A local stack and an operator on it. Most tests share one of each, in namespaces and VPCs of their own; the stack ends
//! with the test process, because its standard input does.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use kube::{
    Api, Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
    runtime::wait::{Condition, await_condition, conditions::is_deleted},
};
use private_genai_operator::{
    api::{PrivateGenAIApp, PrivateGenAINetwork, crd},
    aws::sdk::SdkAws,
};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::http;

/// As long as anything may take here; the local AWS has no delays unless a test asks for them.
pub const DEADLINE: Duration = Duration::from_secs(90);

/// The only VPC ids that the tests' operator lets apps use are those that the local AWS makes: 17 digits.
pub const ALLOWED_VPCS: &str = "vpc-?????????????????";

/// The access key of an operator that can be told from whoever changes things by hand.
pub const OPERATOR_KEY: &str = "operator";

/// A model.
pub const MODEL: &str = "amazon.nova-lite-v1:0";

/// A running local stack with the CRDs installed.
pub struct Stack {
    kubeconfig: PathBuf,
    kubectl: PathBuf,
    pub aws: String,
    directory: PathBuf,
    /// The stack runs until its standard input ends; a line there names a part to restart.
    process: Mutex<Child>,
}

/// A running operator.
pub struct Operator {
    process: Child,
    pub log: PathBuf,
}

impl Stack {
    /// The stack that tests share, with an operator on it.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<(Stack, Operator)> = OnceCell::const_new();
        let (stack, _operator) = SHARED
            .get_or_init(async || {
                let stack = Self::start();
                let operator = stack.operator("shared").await;
                (stack, operator)
            })
            .await;
        stack
    }

    /// A stack of a test's own.
    pub fn start() -> Self {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut process = Command::new("python3")
            .arg(repository.join("tests/local/stack.py"))
            .arg("run")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3 is there");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        let addresses: Value = serde_json::from_str(&line)
            .expect("the stack starts: is it built? Run `make test`, or `python3 tests/local/stack.py build`");
        let text = |key: &str| addresses[key].as_str().expect(key).to_owned();
        let stack = Self {
            kubeconfig: text("kubeconfig").into(),
            kubectl: text("kubectl").into(),
            aws: text("awsEndpointUrl"),
            directory: text("dir").into(),
            process: Mutex::new(process),
        };
        for (_, manifest) in crd::manifests().expect("YAML") {
            stack.apply(&manifest);
        }
        let established = ["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"];
        assert!(stack.kubectl(&established).status.success());
        stack
    }

    /// Kills the API server, which starts again on its port with what etcd has, and waits until it answers.
    pub async fn restart_api_server(&self) {
        let restart =
            |process: &mut Child| process.stdin.as_mut().expect("a pipe").write_all(b"restart kube-apiserver\n");
        restart(&mut self.process.lock().expect("nobody panics with it")).expect("the stack reads");
        eventually("the API server is gone", async || {
            (self.kubectl(&["get", "--raw", "/readyz", "--request-timeout=1s"]).status.code() != Some(0)).then_some(())
        })
        .await;
        eventually("the API server is back", async || {
            self.kubectl(&["get", "--raw", "/readyz", "--request-timeout=1s"]).status.success().then_some(())
        })
        .await;
    }

    /// Starts an operator and waits until it is ready.
    pub async fn operator(&self, installation: &str) -> Operator {
        self.operator_with(installation, &[]).await
    }

    /// The same with more arguments.
    pub async fn operator_with(&self, installation: &str, arguments: &[&str]) -> Operator {
        self.operator_as("local", installation, arguments).await
    }

    /// The same with [`OPERATOR_KEY`], which may do what was granted.
    pub async fn operator_granted(&self, installation: &str, arguments: &[&str]) -> Operator {
        self.operator_as(OPERATOR_KEY, installation, arguments).await
    }

    async fn operator_as(&self, key: &str, installation: &str, arguments: &[&str]) -> Operator {
        let key = [("AWS_ACCESS_KEY_ID", key), ("AWS_SECRET_ACCESS_KEY", "local")];
        let operator = self.launch(installation, arguments, &key);
        let base = operator.address().await;
        eventually("the operator is ready", async || {
            (http::request("GET", &format!("{base}/readyz"), None).await.0 == 200).then_some(())
        })
        .await;
        operator
    }

    /// Starts an operator for which the default chain finds no credentials, and waits for nothing.
    pub fn operator_without_credentials(&self, installation: &str) -> Operator {
        let nowhere = [
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_CONFIG_FILE", "/nonexistent"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent"),
        ];
        self.launch(installation, &[], &nowhere)
    }

    /// Starts an operator that reaches both APIs at this URL, with [`OPERATOR_KEY`], and waits for nothing.
    pub fn operator_through(&self, url: &str, installation: &str, arguments: &[&str]) -> Operator {
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "proxy", "cluster": {"server": url}}],
            "users": [{"name": "nobody", "user": {}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "nobody", "namespace": "default"}}],
            "current-context": "proxy",
        });
        let kubeconfig = self.directory.join("proxy.yaml");
        std::fs::write(&kubeconfig, config.to_string()).expect("a kubeconfig");
        let environment = [
            ("KUBECONFIG", kubeconfig.to_str().expect("a path")),
            ("AWS_ENDPOINT_URL", url),
            ("AWS_ACCESS_KEY_ID", OPERATOR_KEY),
            ("AWS_SECRET_ACCESS_KEY", "local"),
        ];
        self.launch(installation, arguments, &environment)
    }

    fn launch(&self, installation: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Operator {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let log = self.directory.join(format!("operator-{number}.log"));
        // The operator ends by SIGTERM when its supervisor's standard input does: also when the test process is gone, and
        // if it was stopped. A line there names a signal to send before.
        let process = Command::new("sh")
            .args([
                "-c",
                r#""$@" & operator=$!
                while read -r signal; do kill -$signal $operator; done
                kill -TERM $operator; kill -CONT $operator; wait $operator"#,
                "sh",
            ])
            .arg(env!("CARGO_BIN_EXE_private-genai-operator"))
            .args(["run", "--installation-id", installation, "--region", "us-east-1", "--listen", "127.0.0.1:0"])
            .args(["--implicit-network-vpc-ids", ALLOWED_VPCS])
            .args(arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("AWS_ENDPOINT_URL", &self.aws)
            .env_remove("AWS_ACCESS_KEY_ID")
            .env_remove("AWS_SECRET_ACCESS_KEY")
            .env_remove("AWS_PROFILE")
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(File::create(&log).expect("a log file"))
            .spawn()
            .expect("the operator starts");
        Operator { process, log }
    }

    /// Makes calls to the local AWS fail from now on with a 403 of this code; `*` is any service or operation.
    pub async fn deny(&self, service: &str, operation: &str, code: &str) {
        let fault =
            json!({"service": service, "operation": operation, "errorCode": code, "status": 403, "count": 1_000_000});
        http::json("POST", &format!("{}/_local/faults", self.aws), Some(&fault)).await;
    }

    /// From now on [`OPERATOR_KEY`] may do what this IAM policy allows, and no more.
    pub async fn grant(&self, policy: &Value) {
        let grant = json!({"accessKeyId": OPERATOR_KEY, "document": policy});
        http::json("PUT", &format!("{}/_local/policy", self.aws), Some(&grant)).await;
    }

    /// Which action each statement of that policy was needed for, and what was refused.
    pub async fn granted(&self) -> Value {
        http::json("GET", &format!("{}/_local/policy?accessKeyId={OPERATOR_KEY}", self.aws), None).await
    }

    /// Nothing is denied any more.
    pub async fn deny_nothing(&self) {
        http::json("DELETE", &format!("{}/_local/faults", self.aws), None).await;
    }

    /// Runs the program with these arguments to its end.
    pub async fn run(&self, arguments: &[&str]) -> Output {
        let ends = tokio::process::Command::new(env!("CARGO_BIN_EXE_private-genai-operator"))
            .args(arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("AWS_ENDPOINT_URL", &self.aws)
            .env("AWS_ACCESS_KEY_ID", "local")
            .env("AWS_SECRET_ACCESS_KEY", "local")
            .kill_on_drop(true)
            .output();
        // A teardown looks again a minute after it began.
        tokio::time::timeout(DEADLINE * 2, ends).await.expect("it ends").expect("it starts")
    }

    /// A client that belongs to the calling test's runtime.
    pub async fn client(&self) -> Client {
        let kubeconfig = Kubeconfig::read_from(&self.kubeconfig).expect("a kubeconfig");
        let config =
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.expect("a configuration");
        Client::try_from(config).expect("a client")
    }

    /// Runs kubectl.
    pub fn kubectl(&self, arguments: &[&str]) -> Output {
        self.kubectl_with(arguments, "")
    }

    /// Runs kubectl with something on its standard input.
    pub fn kubectl_with(&self, arguments: &[&str], input: &str) -> Output {
        let mut process = Command::new(&self.kubectl)
            .args(arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("KUBECACHEDIR", self.directory.join("kubectl-cache"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl is built");
        process.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("kubectl reads");
        process.wait_with_output().expect("kubectl ends")
    }

    /// `kubectl apply`, which must succeed.
    #[track_caller]
    pub fn apply(&self, manifest: &str) {
        let output = self.kubectl_with(&["apply", "-f", "-"], manifest);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// `kubectl apply`, which must fail; gives what it said.
    #[track_caller]
    pub fn refused(&self, manifest: &str) -> String {
        let output = self.kubectl_with(&["apply", "-f", "-"], manifest);
        assert!(!output.status.success(), "accepted: {manifest}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// A namespace of the test's own.
    pub fn namespace(&self, name: &str) -> String {
        self.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}).to_string());
        name.to_owned()
    }

    /// A VPC of the test's own; `shape` as the local AWS's admin API takes it. Gives its id and its subnets.
    pub async fn vpc(&self, shape: Value) -> (String, Vec<String>) {
        let vpc = http::json("POST", &format!("{}/_local/vpc", self.aws), Some(&shape)).await;
        let texts = |value: &Value| {
            value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        (vpc["vpcId"].as_str().expect("an id").to_owned(), texts(&vpc["subnetIds"]))
    }

    /// The operator's own SDK implementation, to look at AWS with and to change it behind the operator's back.
    pub async fn sdk(&self) -> SdkAws {
        SdkAws::new(&self.sdk_config().await, Arc::new(|_| ()))
    }

    /// For the SDK's own clients: people make calls that the operator does not.
    pub async fn sdk_config(&self) -> aws_config::SdkConfig {
        self.sdk_config_of("local").await
    }

    /// The same with [`OPERATOR_KEY`], for whoever has taken the operator's credentials.
    pub async fn sdk_config_granted(&self) -> aws_config::SdkConfig {
        self.sdk_config_of(OPERATOR_KEY).await
    }

    async fn sdk_config_of(&self, key: &str) -> aws_config::SdkConfig {
        aws_config::defaults(aws_config::BehaviorVersion::latest())
            .region(aws_config::Region::new("us-east-1"))
            .endpoint_url(&self.aws)
            .credentials_provider(aws_credential_types::Credentials::new(key, "local", None, None, "test"))
            .load()
            .await
    }

    /// Everything in the local AWS that an operator could have made.
    pub async fn inventory(&self) -> Value {
        http::json("GET", &format!("{}/_local/inventory?region=us-east-1", self.aws), None).await
    }

    /// The position in the journal of AWS calls.
    pub async fn journal_position(&self) -> u64 {
        self.journal(u64::MAX >> 12).await["next"].as_u64().expect("a position")
    }

    /// The AWS calls from a position on.
    pub async fn journal(&self, since: u64) -> Value {
        http::json("GET", &format!("{}/_local/journal?since={since}", self.aws), None).await
    }

    /// How often an operation of AWS was called since the stack began.
    pub async fn calls(&self, operation: &str) -> usize {
        let journal = self.journal(0).await;
        journal["calls"].as_array().into_iter().flatten().filter(|call| call["operation"] == operation).count()
    }

    /// The operations that changed something, from a position on.
    pub async fn writes(&self, since: u64) -> Vec<String> {
        let journal = self.journal(since).await;
        let calls = journal["calls"].as_array().into_iter().flatten();
        calls
            .filter(|call| call["write"] == true)
            .filter_map(|call| call["operation"].as_str())
            .map(str::to_owned)
            .collect()
    }

    /// How many of each kind carry an operator's tags; not the kinds of which there are none.
    pub async fn sizes(&self) -> Vec<(String, usize)> {
        let inventory = self.inventory().await;
        let kinds = inventory.as_object().expect("kinds").iter();
        kinds
            .map(|(kind, items)| (kind.clone(), items.as_array().map_or(0, Vec::len)))
            .filter(|(_, size)| *size > 0)
            .collect()
    }

    /// Waits until nothing carries an operator's tags.
    pub async fn until_empty(&self) {
        eventually("AWS is empty again", async || self.sizes().await.is_empty().then_some(())).await;
    }

    /// Waits until an app is ready as it was written last.
    pub async fn until_through(&self, namespace: &str, name: &str) -> PrivateGenAIApp {
        let through = |app: Option<&PrivateGenAIApp>| {
            condition(app, "Ready").0 == "True"
                && app.is_some_and(|app| {
                    app.status.as_ref().and_then(|status| status.observed_generation) == app.metadata.generation
                })
        };
        self.until(namespace, name, "is ready as it was written last", through).await
    }

    /// Waits until an app is ready.
    pub async fn until_ready(&self, namespace: &str, name: &str) -> PrivateGenAIApp {
        self.until(namespace, name, "is ready", |app: Option<&PrivateGenAIApp>| condition(app, "Ready").0 == "True")
            .await
    }

    /// Waits until an app's condition holds.
    pub async fn until(
        &self,
        namespace: &str,
        name: &str,
        what: &str,
        holds: impl Condition<PrivateGenAIApp>,
    ) -> PrivateGenAIApp {
        let api = Api::<PrivateGenAIApp>::namespaced(self.client().await, namespace);
        let waiting = await_condition(api.clone(), name, holds);
        let Ok(app) = tokio::time::timeout(DEADLINE, waiting).await else {
            panic!("not so after {DEADLINE:?}: {namespace}/{name} {what}; it is {:#?}", api.get(name).await);
        };
        app.expect("the API server answers").expect("the app is there")
    }

    /// Waits until an app is gone.
    pub async fn until_gone(&self, namespace: &str, app: &PrivateGenAIApp) {
        let api = Api::<PrivateGenAIApp>::namespaced(self.client().await, namespace);
        let name = app.metadata.name.as_deref().expect("a name");
        let gone = is_deleted(app.metadata.uid.as_deref().expect("a uid"));
        tokio::time::timeout(DEADLINE, await_condition(api, name, gone))
            .await
            .unwrap_or_else(|_| panic!("{namespace}/{name} is still there"))
            .expect("the API server answers");
    }

    /// Waits until the implicit network of a VPC is gone.
    pub async fn until_network_gone(&self, vpc: &str) {
        let api = Api::<PrivateGenAINetwork>::all(self.client().await);
        eventually("the network is gone", async || {
            api.get_opt(&format!("{vpc}-us-east-1")).await.expect("an answer").is_none().then_some(())
        })
        .await;
    }

    /// Invokes a function with an event; gives the status and the payload.
    pub async fn invoke(&self, function: &str, event: &Value) -> Value {
        http::json("POST", &format!("{}/2015-03-31/functions/{function}/invocations", self.aws), Some(event)).await
    }
}

impl Operator {
    /// Where it serves health and metrics, as its log tells.
    pub async fn address(&self) -> String {
        eventually("the operator tells where it serves", async || {
            let log = std::fs::read_to_string(&self.log).expect("a log");
            log.lines()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok())
                .find_map(|line| Some(format!("http://{}", line["fields"]["address"].as_str()?)))
        })
        .await
    }

    /// Asks it to stop by SIGTERM, as Kubernetes does, and waits until it has; gives whether it ended well.
    pub async fn stop(mut self) -> bool {
        drop(self.process.stdin.take());
        let process = &mut self.process;
        eventually("the operator ends", async || process.try_wait().expect("a status")).await.success()
    }
}

impl Operator {
    /// Sends it a signal, such as `STOP`.
    pub fn signal(&mut self, name: &str) {
        let supervisor = self.process.stdin.as_mut().expect("a pipe");
        supervisor.write_all(format!("{name}\n").as_bytes()).expect("the supervisor reads");
    }

    /// Kills it, wherever it is.
    pub async fn kill(mut self) {
        self.signal("KILL");
        drop(self.process.stdin.take());
        let process = &mut self.process;
        eventually("the operator is killed", async || process.try_wait().expect("a status")).await;
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        // It may have ended already.
        drop(self.process.wait());
    }
}

/// The three-line app.
pub fn app(namespace: &str, name: &str, vpc: &str) -> String {
    app_with(namespace, name, json!({"network": {"vpcId": vpc}, "models": [MODEL]}))
}

/// An app with this spec.
pub fn app_with(namespace: &str, name: &str, spec: impl Into<Value>) -> String {
    json!({
        "apiVersion": "privategenai.dev/v1alpha1",
        "kind": "PrivateGenAIApp",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec.into(),
    })
    .to_string()
}

/// Status, reason and message of a condition; empty where there is none.
pub fn condition(app: Option<&PrivateGenAIApp>, kind: &str) -> (String, String, String) {
    app.and_then(|app| app.status.as_ref())
        .and_then(|status| status.conditions.iter().find(|condition| condition.type_ == kind))
        .map(|condition| (condition.status.clone(), condition.reason.clone(), condition.message.clone()))
        .unwrap_or_default()
}

/// Polls until there is a value.
///
/// # Panics
/// When there is none by the deadline.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let polling = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(DEADLINE, polling).await.unwrap_or_else(|_| panic!("not so after {DEADLINE:?}: {what}"))
}
