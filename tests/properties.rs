//! Hostile input: whatever is written into a spec, a name, a tag, a glob or an answer, nothing panics, nothing hangs, no
//! policy says more than the models that are named, and the definitions and the code agree about what is valid.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that finds something missing fails, and says where"
)]

#[path = "figures/mod.rs"]
mod figures;
mod specs;

use std::{
    collections::BTreeSet,
    panic::Location,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use private_genai_operator::{
    app::{Desired, NetworkOffer, Observed, plan},
    aws::{
        AccountId, Caller, Failure, FunctionName, IamWrite, Invocation, LambdaWrite, LogGroupName, NetworkInterfaceId,
        PolicyArn, PolicyDocument, Region, RoleName, SecurityGroupId, SubnetId, Tags, VpcId, Write,
    },
    function,
    governance::{Governance, PlatformTags},
    guard::{Globs, ImplicitNetworks, Namespace},
    identity::{AppIdentity, HandOver, InstallationId, NetworkIdentity},
    network::{APP_SHARE_MAX, AdmittedDemands, Demand, PolicyCapacity, Requester, VpcOwnership},
    policy::{self, ModelId},
    settings::Settings,
};
use proptest::{collection, prelude::*};
use serde_json::{Value, json};

use self::specs::{HOSTILE, model, placed, read, rules_allow, tuned};

/// How often each property is tried.
const CASES: u32 = 256;

/// Counts a case of the property that says so, and tells what was tried whenever a property may be through.
#[track_caller]
fn tried() {
    static TRIED: Mutex<(u64, BTreeSet<u32>)> = Mutex::new((0, BTreeSet::new()));
    let mut tried = TRIED.lock().unwrap_or_else(PoisonError::into_inner);
    tried.0 += 1;
    tried.1.insert(Location::caller().line());
    if tried.0.is_multiple_of(u64::from(CASES)) {
        let how_many = format!("{} properties, {} cases in all", tried.1.len(), tried.0);
        figures::tell(figures::Part::HostileInput, "hostile specs, names, tags, globs, answers", &how_many, 0);
    }
}

fn valid_model() -> impl Strategy<Value = ModelId> {
    "[a-z0-9-]{1,27}[.][A-Za-z0-9._:-]{1,100}".prop_filter_map("a profile is no model", |id| id.parse().ok())
}

/// A label and a subdomain of RFC 1123: what Kubernetes lets a namespace and a name be.
fn namespace() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", "[a-z]-?[a-z]", Just("a".repeat(63))]
}

fn name() -> impl Strategy<Value = String> {
    let label = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?";
    let dotted = collection::vec(label, 1..5).prop_map(|labels| labels.join("."));
    prop_oneof![
        dotted.prop_filter("a name has 253 characters at most", |name| name.len() <= 253),
        "[a-z]-?[a-z]",
        Just("b".repeat(253))
    ]
}

fn vpc() -> impl Strategy<Value = VpcId> {
    "vpc-[0-9a-f]{17}".prop_map(|id| id.parse().expect("a VPC id"))
}

fn valid_region() -> impl Strategy<Value = Region> {
    prop_oneof![
        "us-east-[1-2]",
        "cn-north-1",
        "us-gov-west-1",
        "[a-z]{2}(-[a-z]{1,5}){0,2}-(north|south)?(east|west)-[0-9]{1,2}"
    ]
    .prop_map(|region| region.parse().expect("a region"))
}

fn identity() -> impl Strategy<Value = AppIdentity> {
    ("[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", valid_region(), vpc(), namespace(), name()).prop_map(
        |(installation, region, vpc, namespace, name)| AppIdentity {
            installation: installation.parse().expect("an installation id"),
            region,
            vpc,
            namespace,
            name,
        },
    )
}

fn caller(region: &Region) -> Caller {
    Caller { account: "123456789012".parse().expect("an account"), partition: region.partition() }
}

fn settings(app: &AppIdentity) -> Settings {
    Settings {
        installation: app.installation.clone(),
        owner: "0b7d1f9e-2c3a-4d5e-8f60-718293a4b5c6".parse().expect("an owner mark"),
        region: app.region.clone(),
        regions: Globs::only(&app.region),
        implicit_networks: ImplicitNetworks::in_vpcs(Globs::all()),
        resync: Duration::from_mins(5),
        concurrency: 1,
        governance: Governance::default(),
        handler: function::built_in().expect("a package"),
        clock: jiff::Timestamp::now,
    }
}

fn statements(policy: &PolicyDocument) -> Vec<Value> {
    let document: Value = serde_json::from_str(policy.as_str()).expect("a policy is JSON");
    let members: Vec<&String> = document.as_object().expect("an object").keys().collect();
    assert_eq!(members, ["Statement", "Version"]);
    document["Statement"].as_array().expect("statements").clone()
}

fn texts(value: &Value) -> BTreeSet<String> {
    let list = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
    list.iter().map(|text| text.as_str().expect("a text").to_owned()).collect()
}

/// What apps of a network demand: models of few names, some of them very long, so that demands overlap and do not fit.
fn demands() -> impl Strategy<Value = Vec<Demand>> {
    let model = (0..150_u32, prop_oneof![Just(20_usize), Just(126)])
        .prop_map(|(n, length)| format!("a.{n:0>length$}").parse::<ModelId>().expect("a model"));
    let demand = (0..6_i64, "[a-c]", "[a-z]{1,3}", collection::btree_set(model, 0..=32), any::<bool>());
    collection::vec(
        demand.prop_map(|(created, namespace, name, models, has_object)| Demand {
            requester: if has_object {
                Requester::Object { created, namespace, name }
            } else {
                Requester::WithoutObject(format!("{namespace}/{name}"))
            },
            apps: 1,
            models,
            subnets: BTreeSet::new(),
        }),
        1..12,
    )
}

/// Nothing in it means more to IAM than itself.
fn is_literal(text: &str) -> bool {
    !text.contains(['*', '?', '$', '"', '\\', '{', '}']) && text.chars().all(|c| c.is_ascii_graphic())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_definition_and_the_code_agree_about_networks_and_models(spec in placed()) {
        tried();
        let (by_rules, by_code) = (rules_allow(&spec), read(&spec));
        prop_assert_eq!(by_rules.is_ok(), by_code.is_ok(), "{}: {:?}, {:?}", spec, by_rules, by_code);
    }

    #[test]
    fn what_the_definition_lets_through_the_code_can_work_with(spec in tuned()) {
        tried();
        if rules_allow(&spec).is_ok() {
            let app = read(&spec);
            prop_assert!(app.is_ok(), "{}: {:?}", spec, app);
        }
    }

    #[test]
    fn a_model_id_is_either_refused_or_means_only_itself(text in prop_oneof![model(), any::<String>()]) {
        tried();
        if let Ok(model) = text.parse::<ModelId>() {
            prop_assert!(is_literal(&model.to_string()) && !text.contains('/'), "{text:?}");
        }
    }

    #[test]
    fn an_execution_policy_names_the_models_and_the_log_of_its_app_and_nothing_else(
        app in identity(),
        models in collection::btree_set(valid_model(), 1..=32),
    ) {
        tried();
        let caller = caller(&app.region);
        let document = policy::execution_policy(&app, &caller, &models);
        prop_assert!(document.as_str().len() <= 10_240, "IAM takes no longer one: {}", document.as_str().len());
        let statements = statements(&document);
        let kinds: Vec<_> = statements.iter().map(|statement| (statement["Sid"].as_str().unwrap(), statement["Effect"].as_str().unwrap())).collect();
        prop_assert_eq!(kinds, [
            ("WriteOwnLog", "Allow"), ("AttachToVpc", "Allow"), ("CallModels", "Allow"),
            ("CodeLeavesInterfacesAlone", "Deny"), ("ModelsThroughTheVpcOnly", "Deny"),
            ("FoundationModelsThroughTheVpcOnly", "Deny"), ("PromptsThroughTheVpcOnly", "Deny"),
            ("NeitherMantleNorBearerTokens", "Deny"),
        ]);
        let (partition, region) = (caller.partition, &app.region);
        let expected: BTreeSet<String> =
            models.iter().map(|model| format!("arn:{partition}:bedrock:{region}::foundation-model/{model}")).collect();
        let resources = texts(&statements[2]["Resource"]);
        prop_assert!(resources.iter().all(|arn| is_literal(arn)), "{resources:?}");
        prop_assert_eq!(resources, expected);
        let log = format!("arn:{partition}:logs:{region}:123456789012:log-group:{}:", app.log_group_name());
        prop_assert!(is_literal(&log));
        prop_assert_eq!(texts(&statements[0]["Resource"]), BTreeSet::from([format!("{log}*")]));
        for number in [1, 3] {
            let interfaces = texts(&statements[number]["Action"]).iter().all(|action| action.starts_with("ec2:") && is_literal(action));
            prop_assert!(interfaces);
        }
        let function = app.function_arn(&caller);
        prop_assert!(is_literal(&function));
        prop_assert_eq!(&statements[3]["Condition"]["ArnEquals"]["lambda:SourceFunctionArn"], &json!(function));
        for denial in &statements[4..=6] {
            prop_assert_eq!(&denial["Condition"]["StringNotEquals"]["aws:SourceVpc"], &json!(app.vpc.as_str()));
        }
    }

    #[test]
    fn an_endpoint_policy_lets_our_roles_through_to_the_models_that_are_named(
        app in identity(),
        models in collection::btree_set(valid_model(), 1..=32),
    ) {
        tried();
        let caller = caller(&app.region);
        let document = policy::bedrock_runtime_endpoint_policy(&app.installation, &caller, &app.region, &models);
        let statements = statements(&document);
        prop_assert_eq!(statements.len(), 1);
        let resources = texts(&statements[0]["Resource"]);
        prop_assert_eq!(resources.len(), models.len());
        prop_assert!(resources.iter().all(|arn| is_literal(arn)), "{resources:?}");
        let roles = format!("arn:{}:iam::123456789012:role/private-genai/{}/", caller.partition, app.installation);
        prop_assert!(is_literal(&roles));
        prop_assert_eq!(&statements[0]["Condition"], &json!({"ArnLike": {"aws:PrincipalArn": format!("{roles}*")}}));
        prop_assert_eq!(policy::models_of_endpoint(&document, &app.region), models, "what was written is read back");
    }

    #[test]
    fn an_endpoint_policy_fits_keeps_who_is_served_and_holds_nobody_up(
        app in identity(), before in demands(), after in demands(), order in any::<prop::sample::Index>(),
    ) {
        tried();
        let caller = caller(&app.region);
        let room = PolicyCapacity::new(&app.installation, &caller, &app.region);
        let length = |models: &BTreeSet<ModelId>| {
            policy::bedrock_runtime_endpoint_policy(&app.installation, &caller, &app.region, models).as_str().len()
        };
        let demanded = |demands: &[Demand]| demands.iter().flat_map(|demand| demand.models.clone()).collect::<BTreeSet<_>>();
        let AdmittedDemands { models: served, .. } = room.admit(&[], &before);
        prop_assert!(length(&served) <= policy::ENDPOINT_POLICY_MAX);
        // Others come, and those who were there stay: nobody takes anything from them.
        let all: Vec<Demand> = before.iter().chain(&after).cloned().collect();
        let admitted = room.admit(std::slice::from_ref(&served), &all);
        prop_assert!(length(&admitted.models) <= policy::ENDPOINT_POLICY_MAX, "{}", length(&admitted.models));
        prop_assert!(admitted.models.is_superset(&served), "one app evicts no other");
        prop_assert!(demanded(&all).is_superset(&admitted.models), "nothing gets through that nobody names");
        // However the objects are listed, and by whoever begins anew with what the endpoint shows.
        let mut others = all.clone();
        others.rotate_left(order.index(all.len()));
        prop_assert_eq!(&room.admit(std::slice::from_ref(&served), &others), &admitted);
        others.reverse();
        prop_assert_eq!(&room.admit(std::slice::from_ref(&served), &others), &admitted);
        prop_assert_eq!(&room.admit(std::slice::from_ref(&admitted.models), &all), &admitted, "it stays so");
        // Whoever is not served whole would have gone beyond a bound, and is told which.
        for demand in &all {
            let lacks = !admitted.models.is_superset(&demand.models);
            prop_assert_eq!(room.refusal(&admitted.models, &demand.models).is_some(), lacks, "{:?}", demand);
            prop_assert!(!lacks || admitted.waiting_apps.contains(&demand.requester.app()));
            let grown: BTreeSet<ModelId> = admitted.models.union(&demand.models).cloned().collect();
            let own = length(&demand.models);
            prop_assert!(!lacks || length(&grown) > policy::ENDPOINT_POLICY_MAX || own > APP_SHARE_MAX, "{:?}", demand);
        }
        // Those who are gone make room: what they alone named goes.
        let left = room.admit(&[admitted.models], &after);
        prop_assert!(demanded(&after).is_superset(&left.models));
    }

    #[test]
    fn names_and_tags_fit_and_are_read_back(app in identity()) {
        tried();
        let name = app.function_name().to_string();
        prop_assert!(name.len() <= 64 && name.starts_with("pgai-"), "{name}");
        prop_assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{name}");
        prop_assert_eq!(app.role_name().to_string(), name.clone());
        prop_assert_eq!(app.log_group_name().to_string(), format!("/aws/lambda/{name}"));
        let network = NetworkIdentity {
            installation: app.installation.clone(),
            account: "123456789012".parse::<AccountId>().expect("an account"),
            region: app.region.clone(),
            vpc: app.vpc.clone(),
        };
        prop_assert!(network.group_name("functions").len() <= 255);
        let group = "sg-0123456789abcdef0".parse().expect("a group");
        prop_assert_eq!(network.endpoint_token("bedrock-runtime", &group, None).len(), 64);
        for (key, value) in app.tags().into_iter().chain(network.tags()) {
            let fits = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || " _.:/=+-@".contains(c));
            prop_assert!(key.len() <= 128 && value.len() <= 256 && fits(&key) && fits(&value), "{key}={value}");
        }
        prop_assert_eq!(AppIdentity::from_tags(&app.installation, &app.tags()), Some(app));
    }

    #[test]
    fn two_identities_never_share_a_name(
        app in identity(), other in identity(), namespace in "[a-z]{1,3}(-[a-z]{1,2}){0,2}", cut in any::<prop::sample::Index>(),
    ) {
        tried();
        prop_assert!(app == other || app.function_name() != other.function_name());
        // The same text, divided otherwise; the same text, where a dot became a hyphen; another installation, region, VPC.
        let text: Vec<char> = format!("{namespace}-x-y").chars().collect();
        let at = 1 + cut.index(text.len() - 1);
        let cut = |at: usize| AppIdentity {
            namespace: text[..at].iter().collect(), name: text[at..].iter().collect(), ..app.clone()
        };
        let mut identities = BTreeSet::from([app.clone(), other.clone(), cut(1), cut(at)]);
        identities.insert(AppIdentity { installation: "another".parse().unwrap(), ..app.clone() });
        identities.insert(AppIdentity { region: other.region.clone(), ..app.clone() });
        identities.insert(AppIdentity { vpc: other.vpc.clone(), ..app.clone() });
        identities.insert(AppIdentity { name: app.name.replace('.', "-"), ..app.clone() });
        identities.insert(AppIdentity { name: format!("{}x", app.name), ..app.clone() });
        let names: BTreeSet<FunctionName> = identities.iter().map(AppIdentity::function_name).collect();
        prop_assert_eq!(names.len(), identities.len(), "{:?}", identities);
    }

    #[test]
    fn what_is_planned_for_an_app_fits_what_aws_takes(app in identity(), models in collection::vec(valid_model(), 1..4)) {
        tried();
        let spec = json!({
            "network": {"vpcId": app.vpc.as_str(), "region": app.region.as_str()},
            "models": models.iter().map(ToString::to_string).collect::<Vec<_>>(),
        });
        let read = read(&spec).map_err(TestCaseError::fail)?;
        let desired = Desired::new(&read, app.clone(), &caller(&app.region), &settings(&app), &NetworkOffer::Preparing(None));
        let observed = Observed { ownership: VpcOwnership::Ours, ..Observed::default() };
        for step in plan(&desired, &observed).steps {
            match step.write {
                Write::Iam(IamWrite::CreateRole { description, path, .. }) => {
                    prop_assert!(description.chars().count() <= 256, "Lambda's limit, and IAM's is 1,000");
                    prop_assert!(path.len() <= 512 && path.starts_with('/') && path.ends_with('/'));
                }
                Write::Lambda(LambdaWrite::CreateFunction(new)) => prop_assert!(new.description.chars().count() <= 256),
                write => prop_assert!(!write.resource().is_empty()),
            }
        }
    }

    #[test]
    fn no_text_makes_an_id_or_a_tag_panic(text in prop_oneof![HOSTILE, any::<String>()]) {
        tried();
        let _ = (text.parse::<VpcId>(), text.parse::<Region>(), text.parse::<SubnetId>(), text.parse::<SecurityGroupId>());
        let _ = (text.parse::<RoleName>(), text.parse::<LogGroupName>(), text.parse::<InstallationId>());
        let _ = (text.parse::<PolicyArn>(), text.parse::<PlatformTags>());
        let _ = (text.parse::<NetworkInterfaceId>(), text.parse::<AccountId>(), Failure::classify(400, &text, &text));
        let installation: InstallationId = "prod".parse().unwrap();
        let keys = ["installation", "region", "vpc", "app-namespace", "app-name", "retired"];
        let mut tags: Tags = keys.map(|key| (format!("privategenai.dev/{key}"), text.clone())).into();
        let _ = (AppIdentity::from_tags(&installation, &tags), HandOver::from_tags(&tags));
        // Whoever tags a role of ours can say any namespace and name.
        for (key, value) in [("installation", "prod"), ("region", "us-east-1"), ("vpc", "vpc-0abc1234")] {
            tags.insert(format!("privategenai.dev/{key}"), value.to_owned());
        }
        let app = AppIdentity::from_tags(&installation, &tags).expect("an identity");
        prop_assert!(is_literal(app.function_name().as_str()) && app.role_name().as_str().len() <= 64);
    }

    #[test]
    fn no_answer_makes_a_probe_or_a_policy_panic(bytes in any::<Vec<u8>>(), text in HOSTILE, failed in any::<bool>()) {
        tried();
        let _ = Invocation::read(None, failed, &bytes);
        let probe = json!({"probe": {"host": text, "port": bytes.len(), "address": text, "error": {"type": text}}});
        let _ = Invocation::read(Some(&text), failed, probe.to_string().as_bytes());
        let statement = json!({"Sid": "OurRolesCallTheirModels", "Resource": [text, 1], "Condition": text});
        let documents = [json!({"Statement": text}), json!([text]), json!({"Statement": [{"Resource": [text, 1]}]}), json!({"Statement": [statement]})];
        for document in documents.iter().map(ToString::to_string).chain([text.clone()]) {
            let _ = policy::models_of_endpoint(&PolicyDocument::from_wire(&document), &"us-east-1".parse().expect("a region"));
        }
    }

    #[test]
    fn interfaces_always_fit_into_the_tag_of_a_retired_role(ids in collection::btree_set("eni-[0-9a-f]{17}", 0..40)) {
        tried();
        let ids: BTreeSet<NetworkInterfaceId> = ids.iter().map(|id| id.parse().unwrap()).collect();
        let tag = HandOver::tag(&ids);
        prop_assert!(tag.len() <= 256);
        let tags: Tags = [("privategenai.dev/retired".to_owned(), tag)].into();
        let back = HandOver::from_tags(&tags).expect("a retirement");
        prop_assert!(back == HandOver::Any || back == HandOver::Interfaces(ids.clone()));
        prop_assert!(ids.is_empty() || !back.is_over(&ids), "a role that is needed is kept");
    }

    #[test]
    fn every_glob_comes_to_an_end(vpc in vpc(), namespace in namespace(), model in valid_model(), glob in "[*?a-f0-9vpc-]{1,200}") {
        tried();
        let _ = glob.parse::<Globs<VpcId>>().is_ok_and(|globs| globs.allows(&vpc));
        let globs = glob.parse::<Globs<Namespace>>().expect("globs of namespaces");
        let _ = globs.allows(&Namespace(namespace));
        let _ = glob.parse::<Globs<ModelId>>().expect("globs of models").allows(&model);
    }

    /// An id allows itself alone, its beginning with a star whatever begins so, and as many question marks whatever is as long.
    #[test]
    fn a_glob_allows_what_it_says_and_an_id_nothing_but_itself(one in valid_model(), other in valid_model(), cut in any::<prop::sample::Index>()) {
        tried();
        let (text, another) = (one.as_str(), other.as_str());
        let allows = |glob: &str| glob.parse::<Globs<ModelId>>().expect("a glob").allows(&other);
        prop_assert_eq!(allows(text), one == other);
        let begin = &text[..cut.index(text.len())];
        prop_assert_eq!(allows(&format!("{begin}*")), another.starts_with(begin));
        prop_assert_eq!(allows(&format!("*{begin}")), another.ends_with(begin));
        prop_assert_eq!(allows(&"?".repeat(text.len())), text.len() == another.len());
        prop_assert_eq!(allows(&format!("{text},{another}")), true);
    }

    /// Globs of VPCs go into an IAM policy.
    #[test]
    fn globs_are_refused_with_an_example_or_say_no_more_than_a_glob(text in HOSTILE) {
        tried();
        let says = |globs: Vec<String>| globs.iter().all(|glob| !glob.is_empty() && is_literal(&glob.replace(['*', '?'], "")));
        match text.parse::<Globs<VpcId>>() {
            Ok(globs) => prop_assert!(says(globs.iter().map(ToString::to_string).collect())),
            Err(error) => prop_assert!(error.to_string().contains("vpc-0abc*")),
        }
        match text.parse::<Globs<Namespace>>() {
            Ok(globs) => prop_assert!(says(globs.iter().map(ToString::to_string).collect())),
            Err(error) => prop_assert!(error.to_string().contains("team-*")),
        }
        match text.parse::<Globs<ModelId>>() {
            Ok(globs) => prop_assert!(says(globs.iter().map(ToString::to_string).collect())),
            Err(error) => prop_assert!(error.to_string().contains("amazon.nova-*")),
        }
    }
}

#[test]
fn a_glob_that_backtracks_everywhere_comes_to_an_end() {
    let namespace = Namespace("a".repeat(63));
    let allows = |glob: &str| glob.parse::<Globs<Namespace>>().expect("globs").allows(&namespace);
    for glob in ["*a".repeat(10_000) + "b", "*".repeat(10_000) + "b", "*a?".repeat(10_000), "?*".repeat(10_000) + "x"] {
        assert!(!allows(&glob), "{}…", &glob[..10]);
    }
    assert!(allows(&("*a".repeat(63) + "*")));
    assert!(!allows("") && !allows("a-"));
}
