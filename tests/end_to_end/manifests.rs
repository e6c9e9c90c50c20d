//! What is written down agrees with the code.

use std::{collections::BTreeSet, fs, path::Path};

use private_genai_operator::api::crd;

use crate::stack::Stack;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_definitions_in_crds_are_those_of_the_code() {
    let mut written = BTreeSet::new();
    for (name, manifest) in crd::manifests().expect("YAML") {
        let path = repository().join("crds").join(&name);
        let file =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}. Run `make crds`", path.display()));
        assert!(file == manifest, "{} differs from the code: run `make crds`", path.display());
        written.insert(name);
    }
    let files: BTreeSet<String> = fs::read_dir(repository().join("crds"))
        .expect("crds/")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(files, written, "crds/ holds nothing else");
}

#[tokio::test]
async fn every_example_is_one_that_the_api_server_takes() {
    let stack = Stack::shared().await;
    for namespace in ["team-a", "team-b"] {
        stack.namespace(namespace);
    }
    let mut examples = 0;
    for entry in fs::read_dir(repository().join("examples")).expect("examples/") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            continue; // for Argo CD and Flux, and tried in tests/docs
        }
        let manifest = fs::read_to_string(&path).expect("a file");
        let output = stack.kubectl_with(&["apply", "--dry-run=server", "-f", "-"], &manifest);
        assert!(output.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&output.stderr));
        examples += 1;
    }
    assert!(examples > 0);
}
