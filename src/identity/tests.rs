use std::collections::BTreeSet;

use super::*;
use crate::ids::{Caller, NetworkInterfaceId, SecurityGroupId};

fn app(namespace: &str, name: &str) -> AppIdentity {
    AppIdentity {
        installation: "prod".parse().expect("id"),
        region: "us-east-1".parse().expect("region"),
        vpc: "vpc-0abc1234".parse().expect("vpc"),
        namespace: namespace.into(),
        name: name.into(),
    }
}

#[test]
fn names_fit_aws_whatever_kubernetes_allows() {
    for (namespace, name) in [
        ("a".to_owned(), "b".to_owned()),
        ("n".repeat(63), "x".repeat(253)),
        ("team".into(), "dotted.name.example".into()),
        ("team".into(), format!("{}.{}", "a".repeat(40), "b".repeat(40))),
    ] {
        let app = app(&namespace, &name);
        assert!(app.function_name().as_str().len() <= 64);
        assert!(app.role_name().as_str().starts_with(FUNCTION_PREFIX));
        assert!(app.log_group_name().as_str().starts_with(LOG_GROUP_PREFIX));
        assert!(app.tags().values().all(|value| value.len() <= 256), "a tag value has at most 256 characters");
    }
}

#[test]
fn apps_that_read_alike_have_different_names() {
    let names = [app("a-b", "c"), app("a", "b-c"), app("a", "b.c")].map(|app| app.function_name());
    assert_ne!(names[0], names[1]);
    assert_ne!(names[1], names[2]);
    let elsewhere = AppIdentity { region: "eu-west-1".parse().expect("region"), ..app("a", "b-c") };
    assert_ne!(elsewhere.role_name(), names[1].as_str().parse().expect("role name"));
}

#[test]
fn names_never_change_between_versions() {
    assert_eq!(app("team-a", "support-bot").function_name().as_str(), "pgai-team-a-support-bot-932ec4a46b04a0f8");
}

#[test]
fn an_identity_survives_its_tags() {
    let app = app("team-a", "support-bot");
    assert_eq!(AppIdentity::from_tags(&app.installation, &app.tags()), Some(app.clone()));
    let other = "other".parse().expect("id");
    assert_eq!(AppIdentity::from_tags(&other, &app.tags()), None, "another installation's resource is not ours");
}

#[test]
fn a_retired_role_is_kept_exactly_as_long_as_an_interface_that_it_may_be_needed_for() {
    let ids = |count: usize| -> BTreeSet<NetworkInterfaceId> {
        (0..count).map(|n| format!("eni-{n:017x}").parse().expect("an id")).collect()
    };
    let kept_for = |count: usize| {
        let tag = HandOver::tag(&ids(count));
        assert!(tag.len() <= 256);
        HandOver::from_tags(&[(TAG_HANDED_OVER.to_owned(), tag)].into()).expect("a retirement")
    };
    assert!(!kept_for(2).is_over(&ids(2)));
    assert!(kept_for(2).is_over(&ids(4).difference(&ids(2)).cloned().collect()), "newer ones have newer roles");
    assert!(!kept_for(40).is_over(&ids(1)) && kept_for(40).is_over(&ids(0)), "too many for a tag");
    assert_eq!(HandOver::from_tags(&Tags::new()), None);
    assert_eq!(HandOver::from_tags(&[(TAG_HANDED_OVER.to_owned(), "?".to_owned())].into()), Some(HandOver::Any));
}

#[test]
fn removed_and_changed_tags_are_missing_and_a_name_that_somebody_chose_is_not() {
    let tags = |pairs: &[(&str, &str)]| -> Tags {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let wanted = tags(&[("Name", "ours"), ("a", "1"), ("b", "2")]);
    assert_eq!(missing_tags(&wanted, &wanted), Tags::new());
    assert_eq!(
        missing_tags(&wanted, &tags(&[("Name", "theirs"), ("a", "9"), ("c", "3")])),
        tags(&[("a", "1"), ("b", "2")])
    );
    assert_eq!(missing_tags(&wanted, &Tags::new()), wanted);
}

#[test]
fn a_token_is_stable_until_the_endpoint_is_replaced() {
    let network = NetworkIdentity {
        installation: "prod".parse().expect("id"),
        account: "123456789012".parse().expect("account"),
        region: "us-east-1".parse().expect("region"),
        vpc: "vpc-0abc1234".parse().expect("vpc"),
    };
    let group = |id: &str| id.parse::<SecurityGroupId>().expect("a group");
    let (ours, rebuilt) = (group("sg-0000000e"), group("sg-0000001e"));
    let first = network.endpoint_token("bedrock-runtime", &ours, None);
    assert_eq!(first, network.endpoint_token("bedrock-runtime", &ours, None));
    assert!(first.len() <= 64 && first.is_ascii());
    assert_ne!(first, network.endpoint_token("bedrock-runtime", &ours, Some("vpce-0123456789abcdef0")));
    assert_ne!(first, network.endpoint_token("bedrock-runtime", &rebuilt, None), "the network was removed meanwhile");
    assert_ne!(first, network.endpoint_token("bedrock", &ours, None));
}

#[test]
fn an_owner_mark_is_a_uid_and_a_tag_that_says_anything_else_is_another_cluster_s() {
    let mark: OwnerMark = "0b7d1f9e-2c3a-4d5e-8f60-718293a4b5c6".parse().expect("a mark");
    for wrong in ["", "a b", "a/b", "a_b", "é", &"a".repeat(65)] {
        assert!(wrong.parse::<OwnerMark>().is_err(), "{wrong}");
    }
    let tags = |value: &str| Tags::from([(TAG_OWNER.to_owned(), value.to_owned())]);
    assert_eq!(mark.on(&tags(&mark.to_string())), Marked::Ours);
    assert_eq!(mark.on(&Tags::new()), Marked::Nobody);
    for other in ["", "0B7D1F9E-2c3a-4d5e-8f60-718293a4b5c6", "not a mark"] {
        assert_eq!(mark.on(&tags(other)), Marked::Another(other.to_owned()));
    }
}

#[test]
fn the_arn_of_a_role_names_the_installation_whose_path_it_is_in() {
    let of = |arn: &str| InstallationId::of_role_arn(arn).map(|id| id.to_string());
    let caller = Caller { account: "123456789012".parse().expect("account"), partition: Partition::Aws };
    assert_eq!(of(&app("team-a", "bot").role_arn(&caller)).as_deref(), Some("prod"));
    for none in ["", "arn:aws:iam::123456789012:role/x", "arn:aws:iam::123456789012:role/private-genai/x"] {
        assert_eq!(of(none), None, "{none}");
    }
}

#[test]
fn an_installation_id_that_fits_no_path_or_tag_is_refused() {
    for wrong in ["", "Prod", "a b", "-a", "a-", "a/b", &"a".repeat(33)] {
        assert!(wrong.parse::<InstallationId>().is_err(), "{wrong}");
    }
}
