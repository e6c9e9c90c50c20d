//! Every policy that the operator prints, writes or proposes, judged by others: by a linter that is not ours (`parliament`, whose
//! data are AWS's own of some time ago), and by AWS's Service Authorization Reference of today (`tests/reference`). A policy that
//! names an action, a resource or a condition key that AWS does not know is taken by AWS, and silently allows nothing, or denies
//! nothing.
//!
//! ```text
//! written        the policies, for several settings and each partition
//! reference      judges a policy by the reference
//! linter         has the linter judge it (lint.py)
//! accepted.json  what is found and is as it should be, one by one, each with the reason
//! ```

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that finds something missing fails, and says where"
)]

mod accepted;
#[path = "../figures/mod.rs"]
#[allow(dead_code, reason = "what was judged is no part of what is lost")]
mod figures;
mod linter;
mod reference;
mod written;

use std::{collections::BTreeMap, fmt, fs, io::Write as _};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use accepted::Accepted;
use reference::Reference;
use written::{Family, Written};

/// Who found something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Judge {
    Parliament,
    Reference,
}

/// Something that a judge has to say about a statement.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    judge: Judge,
    family: Family,
    /// The statement's Sid; empty where the whole policy is meant, or where it has none.
    statement: String,
    issue: String,
    /// An action, a key, a resource, or the judge's own words.
    about: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { judge, family, statement, issue, about } = self;
        write!(f, "{judge:?}: {family:?} policy, statement {statement:?}: {issue}: {about}")
    }
}

#[test]
fn every_policy_is_taken_by_judges_that_are_not_ours() {
    let written = written::all();
    let mut found: BTreeMap<Finding, String> = BTreeMap::new();
    let reference = Reference::read();
    let by_reference =
        written.iter().flat_map(|policy| reference.judge(policy).into_iter().map(move |finding| (finding, policy)));
    let linted = linter::judge(&written);
    let by_linter = linted.into_iter().map(|(finding, at)| (finding, &written[at]));
    for (finding, of) in by_reference.chain(by_linter) {
        found.entry(finding).or_insert_with(|| of.name());
    }
    let accepted = Accepted::read();
    let new: BTreeMap<_, _> = found.iter().filter(|(finding, _)| !accepted.covers(finding)).collect();
    let outdated = accepted.outdated(found.keys());
    // Past the runner's capture: `make test` ends with it.
    let (judged, accepted) = (written.len(), found.len() - new.len());
    let summary = format!("policies: {judged} judged, {accepted} findings accepted, {} not\n", new.len());
    std::io::stdout().write_all(summary.as_bytes()).expect("somebody listens");
    let proposed = figures::results().join("policies-found.json");
    fs::write(&proposed, accepted::proposed(new.keys().copied())).expect("a file");
    let mut wrong: Vec<String> =
        new.iter().map(|(finding, example)| format!("{finding} (for instance in {example})")).collect();
    wrong.extend(outdated.iter().map(|finding| format!("accepted, and found no more: {finding}")));
    assert!(
        wrong.is_empty(),
        "{}\nMend the policy. What is as it should be goes into tests/policies/accepted.json, with the reason; {} has it in that form.",
        wrong.join("\n"),
        proposed.display()
    );
}

#[test]
fn what_is_accepted_and_found_no_more_is_told() {
    let accepted = Accepted::read();
    let all = accepted.outdated([].iter());
    assert!(all.len() > 20 && all.iter().all(|finding| accepted.covers(finding)), "{all:#?}");
    assert_eq!(accepted.outdated(all.iter().skip(1)), all[..1]);
}

/// A policy that is wrong in one way is found out. The judges are judged.
fn found_in(family: Family, statement: &Value) -> Vec<(Judge, String, String)> {
    let written = [Written {
        family,
        setting: "by hand".to_owned(),
        document: serde_json::json!({"Version": "2012-10-17", "Statement": [statement]}),
    }];
    let linted = linter::judge(&written).into_iter().map(|(finding, _)| finding);
    Reference::read()
        .judge(&written[0])
        .into_iter()
        .chain(linted)
        .map(|finding| (finding.judge, finding.issue, finding.about))
        .collect()
}

#[test]
fn a_key_that_an_action_does_not_have_on_a_type_of_resource_is_found() {
    let statement = |action: &str| {
        serde_json::json!({
            "Effect": "Allow", "Action": [action], "Resource": "arn:aws:ec2:*:123456789012:subnet/*",
            "Condition": {"ArnLike": {"ec2:Vpc": "arn:aws:ec2:*:123456789012:vpc/vpc-1"}},
        })
    };
    let on_subnets = |action: &str| -> Vec<String> {
        let found = found_in(Family::Execution, &statement(action)).into_iter();
        found.filter(|(_, issue, _)| issue == "UnknownKey").map(|(_, _, about)| about).collect()
    };
    assert_eq!(on_subnets("ec2:CreateVpcEndpoint"), ["ec2:Vpc of ec2:CreateVpcEndpoint on subnet"]);
    assert_eq!(on_subnets("ec2:ModifyVpcEndpoint"), Vec::<String>::new());
}

#[test]
fn an_action_and_a_resource_that_aws_does_not_know_are_found_by_both_judges() {
    let wrong = serde_json::json!({
        "Effect": "Allow", "Action": ["lambda:InvokeFunktion", "logs:PutRetentionPolicy", "ec2:DescribeVpcs"],
        "Resource": "arn:aws:lambda:*:123456789012:function:pgai-*",
    });
    let found = found_in(Family::Execution, &wrong);
    for expected in [
        (Judge::Reference, "UnknownAction", "lambda:InvokeFunktion"),
        (Judge::Reference, "NoResourceOfAction", "logs:PutRetentionPolicy"),
        (Judge::Reference, "NeedsStar", "ec2:DescribeVpcs"),
        (Judge::Parliament, "UNKNOWN_ACTION", "Unknown action lambda:InvokeFunktion"),
        (Judge::Parliament, "RESOURCE_MISMATCH", "ec2:DescribeVpcs on *"),
    ] {
        let expected = (expected.0, expected.1.to_owned(), expected.2.to_owned());
        assert!(found.contains(&expected), "{expected:?} not in {found:#?}");
    }
}

#[test]
fn an_exception_that_is_one_of_nothing_is_found() {
    let excepted = |resource: &str| {
        let deny = serde_json::json!({
            "Effect": "Deny", "Action": "bedrock:InvokeModel*", "NotResource": [resource],
            "Condition": {"StringNotEquals": {"aws:SourceVpc": "vpc-1"}},
        });
        let found = found_in(Family::Execution, &deny).into_iter().filter(|(judge, _, _)| *judge == Judge::Reference);
        found.map(|(_, issue, about)| format!("{issue} {about}")).collect::<Vec<_>>()
    };
    assert_eq!(excepted("arn:aws:bedrock:*::foundation-model/*"), Vec::<String>::new());
    let nothing = "arn:aws:bedrock:*::foundation-models/*";
    assert_eq!(excepted(nothing), [format!("ResourceOfNoAction {nothing}")]);
}
