//! The local AWS as a process of its own, without Kubernetes.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
};

use http_body_util::{BodyExt as _, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use private_genai_operator::aws::{Region, SubnetId, VpcId, sdk::SdkAws};
use serde_json::Value;

/// A running local AWS, which ends with this process: its standard input does.
pub struct LocalAws {
    pub region: Region,
    config: aws_config::SdkConfig,
    url: String,
    directory: PathBuf,
    process: Child,
}

impl LocalAws {
    /// Starts it. Each change takes a second: long enough to be seen before it is through.
    pub async fn start() -> Self {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
        let built = std::env::var_os("PGAI_LOCAL_DIR").map_or_else(|| repository.join(".local"), PathBuf::from);
        let directory = std::env::temp_dir().join(format!("pgai-conformance-{}", std::process::id()));
        let mut process = Command::new(built.join("venv/bin/python"))
            .args(["-m", "local_aws", "--port", "0", "--dir"])
            .arg(&directory)
            .env("PYTHONPATH", repository.join("tests/local/aws"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the local AWS is built: run `make build`");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        let ready: Value = serde_json::from_str(&line).expect("the local AWS says its URL");
        let url = ready["url"].as_str().expect("a URL").to_owned();
        let config = config(&url).await;
        let local = Self { region: "us-east-1".parse().expect("a region"), config, url, directory, process };
        let delays = [
            ("endpointAvailable", 1),
            ("endpointDeleted", 1),
            ("endpointForgotten", 600),
            ("functionActive", 1),
            ("functionUpdated", 1),
            ("interfaceReleased", 6),
            ("roleUsable", 1),
        ];
        local.admin("PUT", "delays", &delays.into_iter().collect()).await;
        local
    }

    /// The operator's own implementation, with a pace of its own: facts do not wait for each other.
    pub fn sdk(&self) -> Arc<SdkAws> {
        Arc::new(SdkAws::new(&self.config, Arc::new(|_| ())))
    }

    /// A VPC of this shape, as the admin API takes it.
    pub async fn vpc(&self, shape: &Value) -> (VpcId, Vec<SubnetId>) {
        let vpc = self.admin("POST", "vpc", shape).await;
        let subnets = vpc["subnetIds"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let subnets = subnets.map(|subnet| subnet.parse().expect("a subnet id")).collect();
        (vpc["vpcId"].as_str().expect("an id").parse().expect("a VPC id"), subnets)
    }

    async fn admin(&self, method: &str, what: &str, body: &Value) -> Value {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let request: http::Request<Full<hyper::body::Bytes>> = http::Request::builder()
            .method(method)
            .uri(format!("{}/_local/{what}", self.url))
            .header("content-type", "application/json")
            .body(Full::from(body.to_string()))
            .expect("a request");
        let answer = client.request(request).await.expect("the local AWS answers");
        let body = answer.into_body().collect().await.expect("the whole body").to_bytes();
        serde_json::from_slice(&body).expect("JSON")
    }
}

/// How the SDK calls an AWS at this URL.
pub async fn config(url: &str) -> aws_config::SdkConfig {
    aws_config::defaults(aws_config::BehaviorVersion::latest())
        .region(aws_config::Region::new("us-east-1"))
        .endpoint_url(url)
        .credentials_provider(aws_credential_types::Credentials::new("local", "local", None, None, "test"))
        .load()
        .await
}

impl Drop for LocalAws {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        // It may have ended already.
        drop(self.process.wait());
        drop(std::fs::remove_dir_all(&self.directory));
    }
}
