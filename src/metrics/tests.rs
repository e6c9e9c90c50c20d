use super::*;

#[test]
fn what_may_happen_once_is_counted_from_zero() {
    let text = Metrics::default().text().expect("text");
    for line in [
        "private_genai_operator_probes_total{result=\"not_private\"} 0",
        "private_genai_operator_drift_repaired_total{kind=\"rule\"} 0",
        "private_genai_operator_drift_repaired_total{kind=\"tags\"} 0",
        "private_genai_operator_reconciles_total{kind=\"app\",result=\"error\"} 0",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
}

#[test]
fn calls_and_reconciles_are_counted_under_stable_names() {
    let metrics = Metrics::default();
    metrics.aws_called("ec2", "CreateVpcEndpoint", "OK", Duration::from_millis(30));
    metrics.aws_called("ec2", "CreateVpcEndpoint", "RequestLimitExceeded", Duration::from_millis(30));
    metrics.aws_throttled("ec2", "CreateVpcEndpoint");
    for wait in [Some(Duration::from_secs(1)), None] {
        metrics.aws_held_back(Held { service: "ec2", operation: "CreateVpcEndpoint", wait });
    }
    metrics.reconciled(ObjectKind::App, true, Duration::from_millis(3));
    metrics.drift_repaired(DriftKind::EndpointPolicy);
    metrics.probed(ProbeResult::NotPrivate, Duration::from_millis(300));
    metrics.leads(true);
    let text = metrics.text().expect("text");
    for line in [
        "private_genai_operator_aws_calls_total{service=\"ec2\",operation=\"CreateVpcEndpoint\",code=\"OK\"} 1",
        "private_genai_operator_aws_call_duration_seconds_count{service=\"ec2\",operation=\"CreateVpcEndpoint\"} 2",
        "private_genai_operator_aws_throttles_total{service=\"ec2\",operation=\"CreateVpcEndpoint\"} 1",
        "private_genai_operator_aws_held_back_seconds_sum{service=\"ec2\"} 1.0",
        "private_genai_operator_aws_put_off_total{service=\"ec2\",operation=\"CreateVpcEndpoint\"} 1",
        "private_genai_operator_reconciles_total{kind=\"app\",result=\"finished\"} 1",
        "private_genai_operator_reconcile_duration_seconds_count{kind=\"app\"} 1",
        "private_genai_operator_drift_repaired_total{kind=\"endpoint_policy\"} 1",
        "private_genai_operator_probes_total{result=\"not_private\"} 1",
        "private_genai_operator_probe_duration_seconds_count 1",
        "private_genai_operator_leader 1",
    ] {
        assert!(text.contains(line), "{line} is missing in\\n{text}");
    }
}
