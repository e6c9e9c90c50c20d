//! Metrics, from the text of a scrape after every metric has been counted once.

use std::{collections::BTreeMap, time::Duration};

use super::{code, document, section, table};
use crate::{
    api::{AppName, ObjectKind, ObjectName},
    aws::{DriftKind, pacing::Held},
    metrics::{Metrics, ProbeResult, STABILITY, Stability},
};

/// The page.
pub fn page() -> String {
    let introduction = "`/metrics` on `--listen` serves the OpenMetrics format. Labels are bounded: they never name an object. A *stable* \
                        metric keeps its name, its type and its labels; CHANGELOG.md announces a change one minor version before. An *alpha* \
                        metric may change in any minor version. The chart has [alerts](../../charts/private-genai-operator/files/alerts.yaml) \
                        and a [dashboard](../../charts/private-genai-operator/files/dashboard.json) of these metrics.";
    let metrics = described();
    assert_eq!(
        metrics.keys().copied().collect::<Vec<_>>(),
        sorted(STABILITY.iter().map(|(name, _)| *name)),
        "each has a stability"
    );
    let rows = STABILITY.iter().map(|(name, stability)| {
        let metric = &metrics[name];
        let suffix = if metric.kind == "counter" { "_total" } else { "" };
        let labels = metric.labels.iter().map(|label| code(label)).collect::<Vec<_>>().join(", ");
        let stability = match stability {
            Stability::Stable => "stable",
            Stability::Alpha => "alpha",
        };
        [
            code(&format!("{PREFIX}{name}{suffix}")),
            metric.kind.clone(),
            labels,
            stability.to_owned(),
            metric.help.clone(),
        ]
    });
    let values = |names: &mut dyn Iterator<Item = &'static str>| names.map(code).collect::<Vec<_>>().join(", ");
    let of_labels = [
        ("`code`", "AWS's error code, or `OK`".to_owned()),
        ("`kind` of drift", values(&mut DriftKind::ALL.iter().map(|kind| kind.as_str()))),
        ("`kind` of all others", values(&mut ObjectKind::ALL.iter().map(|kind| kind.as_str()))),
        ("`result` of reconciles", values(&mut ["finished", "error"].into_iter())),
        ("`result` of probes", values(&mut ProbeResult::ALL.iter().map(|result| result.as_str()))),
    ];
    let of_labels = table(["label", "values"], of_labels.map(|(label, values)| [label.to_owned(), values]));
    let metrics = table(["metric", "type", "labels", "stability", ""], rows);
    document("Metrics", introduction, &[metrics, section("Values of labels", &[of_labels])])
}

const PREFIX: &str = "private_genai_operator_";

/// The parts of a scrape about one metric.
#[derive(Default)]
struct Described {
    kind: String,
    help: String,
    labels: Vec<String>,
}

fn sorted<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names
}

/// All metrics by name, without the prefix.
fn described() -> BTreeMap<&'static str, Described> {
    let text: &'static str = counted().leak();
    let mut metrics: BTreeMap<&'static str, Described> = BTreeMap::new();
    for line in text.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words.as_slice() {
            ["#", "HELP", name, help] => {
                let about = help.trim_end_matches('.').replace("\\\"", "\"");
                metrics.entry(short(name)).or_default().help = format!("{about}.");
            }
            ["#", "TYPE", name, kind] => (*kind).clone_into(&mut metrics.entry(short(name)).or_default().kind),
            ["#", ..] | [] => {}
            [sample, ..] => {
                let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
                let owner = metrics
                    .keys()
                    .copied()
                    .filter(|metric| short(name).starts_with(metric))
                    .max_by_key(|metric| metric.len());
                let metric = metrics.get_mut(owner.expect("a described metric")).expect("the same");
                let labels = labels.split(',').filter_map(|label| label.split_once('=')).map(|(label, _)| label);
                metric.labels = labels.filter(|label| *label != "le").map(str::to_owned).collect();
            }
        }
    }
    metrics
}

fn short(name: &str) -> &str {
    name.strip_prefix(PREFIX).expect("the prefix")
}

/// A scrape after every metric has been counted once.
fn counted() -> String {
    let (metrics, took) = (Metrics::default(), Duration::from_secs(1));
    metrics.aws_called("ec2", "CreateVpcEndpoint", "OK", took);
    metrics.aws_throttled("ec2", "CreateVpcEndpoint");
    for wait in [Some(took), None] {
        metrics.aws_held_back(Held { service: "ec2", operation: "CreateVpcEndpoint", wait });
    }
    metrics.reconciled(ObjectKind::App, true, took);
    metrics.drift_repaired(DriftKind::EndpointPolicy);
    metrics.ready_after(ObjectKind::App, took);
    metrics.woken(&ObjectName::App(AppName { namespace: "team-a".to_owned(), name: "app".to_owned() }));
    metrics.count_object(ObjectKind::App, "Ready", "True");
    metrics.snapshot_is("us-east-1", "roles", took);
    metrics.probed(ProbeResult::Proven, took);
    metrics.leads(true);
    metrics.text().expect("text")
}
