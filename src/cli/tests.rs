use clap::CommandFactory as _;

use super::*;
use crate::{
    aws::{Region, pacing::Share},
    governance::Governance,
    guard::{Allow, Globs, ImplicitNetworks},
};

#[test]
fn the_command_line_is_consistent_and_every_flag_is_explained() {
    let mut command = Cli::command();
    command.clone().debug_assert();
    command.build();
    for sub in command.get_subcommands() {
        for argument in sub.get_arguments() {
            assert!(argument.get_help().is_some(), "{} {} has no help", sub.get_name(), argument.get_id());
        }
    }
}

fn run(arguments: &[&str]) -> Run {
    let required = ["private-genai-operator", "run", "--installation-id", "prod", "--region", "us-east-1"];
    match Cli::try_parse_from([&required, arguments].concat()).expect("arguments").command {
        Command::Run(run) => *run,
        other => panic!("another command: {other:?}"),
    }
}

fn home() -> Region {
    "us-east-1".parse().expect("a region")
}

#[test]
fn the_regions_are_those_that_are_named_or_else_the_operator_s_own() {
    let given = |arguments: &[&str]| run(arguments).guards.of_operator_in(&home()).0;
    for own in [&[][..], &["--regions="], &["--regions", " ,"]] {
        assert_eq!(given(own), Globs::only(&home()), "{own:?}");
    }
    assert_eq!(given(&["--regions", "eu-*,", "--regions=us-west-2"]), "eu-*,us-west-2".parse().expect("globs"));
}

#[test]
fn an_empty_list_is_none_and_a_list_may_end_in_a_comma_or_be_given_in_parts() {
    let given = |value: &str| {
        let flags = ["vpc-ids", "allow-namespaces", "allow-models"];
        let flags = flags.map(|flag| format!("--implicit-network-{flag}={value}"));
        run(&flags.each_ref().map(String::as_str)).guards.of_operator_in(&home()).1
    };
    let none = Allow { namespaces: Globs::none(), models: Globs::none() };
    for empty in ["", " ", ","] {
        assert_eq!(given(empty), ImplicitNetworks { vpcs: Globs::none(), allow: none.clone() }, "{empty:?}");
    }
    assert_eq!(given("*,"), ImplicitNetworks::in_vpcs(Globs::all()));
    let parts = run(&["--implicit-network-allow-models=a.*", "--implicit-network-allow-models=b.*,c.*"]).guards;
    assert_eq!(parts.of_operator_in(&home()).1.allow.models, "a.*,b.*,c.*".parse().expect("globs"));
}

#[test]
fn an_installation_id_is_required_and_no_vpc_is_allowed_by_default() {
    let parse = |arguments: &[&str]| Cli::try_parse_from([&["private-genai-operator", "run"], arguments].concat());
    let refused = parse(&["--region", "us-east-1"]);
    if std::env::var_os("PGAI_INSTALLATION_ID").is_none() {
        assert!(refused.is_err_and(|error| error.to_string().contains("--installation-id")));
    }
    let guards = run(&[]).guards.of_operator_in(&home()).1;
    assert_eq!(guards, ImplicitNetworks::in_vpcs(Globs::none()));
    let required = [["--installation-id", "prod"], ["--region", "us-east-1"]];
    for wrong in [
        ["--installation-id", "Prod"],
        ["--region", "nowhere"],
        ["--resync-seconds", "1"],
        ["--aws-rate-percent", "0"],
        ["--implicit-network-vpc-ids", "subnet-0abc1234"],
        ["--implicit-network-allow-namespaces", "Team"],
        ["--implicit-network-allow-models", "nova lite"],
    ] {
        let others = required.into_iter().filter(|flag| flag[0] != wrong[0]);
        let error = parse(&others.chain([wrong]).flatten().collect::<Vec<_>>()).expect_err(wrong[0]);
        assert_eq!(error.kind(), clap::error::ErrorKind::ValueValidation, "{wrong:?}: {error}");
    }
    assert_eq!((run(&[]).aws_rate_percent, run(&[]).explore_iam_rates), (Share::ALL, false));
    assert!(run(&["--explore-iam-rates"]).explore_iam_rates);
}

#[test]
fn an_invalid_tag_or_boundary_is_refused_and_an_empty_value_is_none() {
    let run = |arguments: &[&str]| {
        let always = ["private-genai-operator", "run", "--installation-id", "prod", "--region", "us-east-1"];
        Cli::try_parse_from([&always[..], arguments].concat()).map(|cli| match cli.command {
            Command::Run(run) => run.governance.governance(),
            other => panic!("{other:?}"),
        })
    };
    let refused = |arguments: &[&str]| run(arguments).expect_err("refused").to_string();
    let message = refused(&["--tags", "team=ai,Name=x"]);
    assert!(message.contains("the tag \"Name=x\" has a key that the operator sets itself"), "{message}");
    let message = refused(&["--permissions-boundary-arn", "boundary"]);
    assert!(message.contains("\"boundary\" is not the ARN of a managed IAM policy such as"), "{message}");
    assert_eq!(run(&["--tags", "", "--permissions-boundary-arn", ""]).expect("none"), Governance::default());
    let both = run(&["--tags", "team=ai", "--permissions-boundary-arn", "arn:aws:iam::aws:policy/X"]).expect("both");
    assert_eq!(both.tags.tags().len(), 1);
    assert_eq!(both.permissions_boundary.expect("a boundary").as_str(), "arn:aws:iam::aws:policy/X");
}
