//! Every kind of drift with every kind of drift, and every kind of drift while something else is blocked: whatever does not
//! stand on the block is put right within one resync. The table is written to `.local/results/repair-table.txt`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    io::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use private_genai_operator::aws::{EndpointState, FunctionState, VpcDns, VpcId};
use serde_json::json;
use tokio::time::sleep;

use super::{TOPOLOGY, at_rest, by_hand, deny, lead_out, named, until_shape};
use crate::{
    drift::{retag, shape, unowned_kinds, writes_of},
    figures,
    memory::aws::{ByHand, Drift, Fault, drifts},
    sampled,
    scene::{MODEL, RESYNC, Scene, scene},
};

/// A resync, and for what AWS may show a minute late and is then made anew, two of those minutes.
const WITHIN: Duration = Duration::from_secs(300 + 130);

/// Something that keeps a part of an object from being what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Block {
    /// Every subnet leads to an internet gateway: too few zones.
    LeadsOut,
    /// The VPC resolves no names.
    NoDns,
    /// A read is denied.
    Read(&'static str),
    /// Roles can be read in neither way.
    Roles,
    /// This drift is there, and the first call that would put it right is denied.
    Write(&'static str),
    /// The same, and the call is refused by a quota.
    Quota(&'static str),
    /// The tags of something are gone: nobody can know whose it is.
    Tags(&'static str),
    /// AWS is at work on the endpoint.
    EndpointPending,
    /// AWS is at work on the function.
    FunctionPending,
    /// The app is suspended.
    Suspended,
}

/// Reads of a resync, and those that follow from a difference.
const READS: [&str; 11] = [
    "ec2:DescribeVpcs",
    "ec2:DescribeSubnets",
    "ec2:DescribeRouteTables",
    "ec2:DescribeVpcEndpointServices",
    "ec2:DescribeVpcEndpoints",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeNetworkInterfaces",
    "lambda:ListFunctions",
    "lambda:GetFunction",
    "logs:DescribeLogGroups",
    "logs:ListTagsForResource",
];

fn blocks() -> Vec<Block> {
    let mut blocks = vec![Block::LeadsOut, Block::NoDns, Block::Roles];
    blocks.extend(READS.map(Block::Read));
    // One drift for each call that puts something right.
    let mut calls = BTreeSet::new();
    blocks.extend(
        all_kinds()
            .into_iter()
            .filter(|kind| writes_of(kind).first().is_some_and(|call| calls.insert(*call)))
            .map(Block::Write),
    );
    blocks.extend(["ingress rule deleted", "role policy deleted", "function deleted"].map(Block::Quota));
    blocks.extend(unowned_kinds().into_iter().map(Block::Tags));
    blocks.extend([Block::EndpointPending, Block::FunctionPending, Block::Suspended]);
    blocks
}

/// The kinds of drift, in order.
fn all_kinds() -> Vec<&'static str> {
    run(async {
        let (scene, _) = at_rest().await;
        let kinds: BTreeSet<&str> =
            drifts(&scene.aws.world(), &Scene::installation()).iter().map(|drift| drift.name).collect();
        kinds.into_iter().collect()
    })
}

/// Each resource that is concerned, as far as one stands on another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Group,
    Endpoint,
    Role,
    LogGroup,
    Function,
}

fn part(kind: &str) -> Part {
    match kind {
        _ if kind.starts_with("endpoint") || kind == "private DNS switched" => Part::Endpoint,
        _ if kind.starts_with("group")
            || kind.starts_with("egress")
            || kind.starts_with("ingress")
            || kind.starts_with("owner mark") =>
        {
            Part::Group
        }
        _ if kind.starts_with("log group") || kind.starts_with("retention") => Part::LogGroup,
        _ if kind.starts_with("role")
            || kind.starts_with("foreign")
            || kind.starts_with("permissions boundary")
            || kind.starts_with("trust policy") =>
        {
            Part::Role
        }
        _ => Part::Function,
    }
}

/// Why a drift is not put right while something is blocked; `None` where nothing keeps it from being so.
fn stands_on(kind: &str, block: Block) -> Option<&'static str> {
    const CREATED: &str = "nothing is created or moved in a VPC that is refused, or cannot be read";
    const WAITS: &str = "a function is created once its network is ready";
    const EXACT: &str = "a function is created once its role and its log group are exact";
    const UNCLAIMED: &str = "nothing of an app is created before both groups are there and carry this cluster's mark";
    const BETTER: &str = "what comes instead is exact at once, and lacks what somebody else had made of it";
    let creates_in_vpc = ["endpoint deleted", "endpoint vanished", "endpoint's subnet removed", "group deleted"];
    let of = part(kind);
    if unowned_kinds().contains(&kind) {
        return Some("whose the resource is nobody can know");
    }
    if kind == "function idle" {
        return Some("a function that sleeps is woken by the probe, which goes once all else of the app is exact");
    }
    let unclaimed = match block {
        Block::Write(blocked) => ["owner mark removed", "group deleted"].contains(&blocked),
        Block::Tags(tags) => tags == "group's tags removed",
        Block::LeadsOut
        | Block::NoDns
        | Block::Read(_)
        | Block::Roles
        | Block::Quota(_)
        | Block::EndpointPending
        | Block::FunctionPending
        | Block::Suspended => false,
    };
    if unclaimed && ["role deleted", "log group deleted", "function deleted"].contains(&kind) {
        return Some(UNCLAIMED);
    }
    match block {
        Block::NoDns if kind == "private DNS switched" => {
            Some("AWS enables private DNS in no VPC that resolves no names")
        }
        Block::LeadsOut
        | Block::NoDns
        | Block::Read(
            "ec2:DescribeVpcs" | "ec2:DescribeSubnets" | "ec2:DescribeRouteTables" | "ec2:DescribeVpcEndpointServices",
        ) => match kind {
            _ if creates_in_vpc.contains(&kind) => Some(CREATED),
            "function deleted" => Some(WAITS),
            _ => None,
        },
        Block::Roles => match (of, kind) {
            (Part::Role, _) => Some("the role cannot be read"),
            _ if creates_in_vpc.contains(&kind) => Some(CREATED),
            (_, "function deleted") => Some(EXACT),
            _ => None,
        },
        Block::Read("ec2:DescribeVpcEndpoints") => match (of, kind) {
            (Part::Endpoint, _) => Some("the endpoint cannot be read"),
            (_, "group deleted") => Some("the endpoint that is to carry the group cannot be read"),
            _ => None,
        },
        Block::Read("ec2:DescribeSecurityGroups") => match (of, kind) {
            (Part::Group, _) => Some("the groups cannot be read"),
            (_, "endpoint deleted" | "endpoint vanished" | "endpoint's groups swapped") => {
                Some("the groups cannot be read")
            }
            (_, "function deleted") => Some(WAITS),
            _ => None,
        },
        Block::Read("lambda:ListFunctions" | "lambda:GetFunction") => match (of, kind) {
            (Part::Function, "function deleted") if block == Block::Read("lambda:GetFunction") => None,
            (Part::Function, _) => Some("the function cannot be read"),
            (_, "role deleted" | "role replaced") => Some("the function that is given the role cannot be read"),
            _ => None,
        },
        Block::Read("logs:DescribeLogGroups") => match (of, kind) {
            (Part::LogGroup, _) => Some("the log group cannot be read"),
            (_, "function deleted") => Some(EXACT),
            _ => None,
        },
        Block::Read("logs:ListTagsForResource") => match (of, kind) {
            (Part::LogGroup, "log group deleted") => None,
            (Part::LogGroup, _) => Some("whose the log group is cannot be read"),
            (_, "function deleted") => Some(EXACT),
            _ => None,
        },
        Block::Read(_) => None,
        Block::Write(blocked) | Block::Quota(blocked) => {
            let call = writes_of(blocked)[0];
            let needs = writes_of(kind);
            if needs.contains(&call) {
                return Some("it is put right by the call that is refused");
            }
            match (part(blocked), of, kind) {
                // What the block left there is what the drift takes away: it does not come again.
                (Part::Group, _, "egress rule deleted") if blocked == "egress opened" => Some(BETTER),
                (Part::Group, _, "ingress rule deleted" | "group deleted") if blocked == "ingress opened" => {
                    Some(BETTER)
                }
                (Part::Group, _, "group deleted") if blocked == "owner mark removed" => Some(BETTER),
                (Part::Endpoint, _, "endpoint deleted" | "endpoint vanished")
                    if blocked == "endpoint policy opened" =>
                {
                    Some(BETTER)
                }
                (Part::Endpoint, _, "group deleted") if blocked == "endpoint policy opened" => {
                    Some("the endpoint is given the new group by the call that is refused")
                }
                (Part::Function, _, "function deleted")
                    if ["code replaced", "configuration changed"].contains(&blocked) =>
                {
                    Some(BETTER)
                }
                (Part::Role, _, "role deleted")
                    if [
                        "foreign denial added",
                        "foreign policy attached",
                        "permissions boundary removed",
                        "trust policy changed",
                    ]
                    .contains(&blocked) =>
                {
                    Some(BETTER)
                }
                (Part::Group, _, "endpoint's groups swapped")
                    if ["egress opened", "ingress opened"].contains(&blocked) =>
                {
                    Some("an endpoint carries a group only while nobody else lets anything through it")
                }
                (Part::Group, _, "function detached") if blocked == "group deleted" => Some("the group is missing"),
                (Part::Role, _, "function detached" | "function setting changed" | "role replaced")
                    if ["role deleted", "role policy deleted", "trust policy changed"].contains(&blocked) =>
                {
                    Some("Lambda changes no function whose role is gone, or may not be assumed, or may not attach it")
                }
                (Part::Group | Part::Endpoint, Part::Function, "function deleted") if blocks_network(blocked) => {
                    Some(WAITS)
                }
                (Part::Group, _, "endpoint deleted" | "endpoint vanished") => {
                    Some("an endpoint is created once the groups have exactly their rules")
                }
                (Part::Group, _, "endpoint's groups swapped") if blocked == "group deleted" => {
                    Some("the group is missing")
                }
                (Part::Endpoint, Part::Endpoint, _) if blocked == "endpoint deleted" => Some("there is no endpoint"),
                (Part::Endpoint, _, "function detached") if blocked == "endpoint deleted" => {
                    Some("nobody knows to which subnets it is to be attached")
                }
                (Part::Role | Part::LogGroup, _, "function deleted") if call != "iam:TagRole" => Some(EXACT),
                (Part::Role, Part::Role, _) if call == "iam:CreateRole" => Some("there is no role"),
                (Part::Role, _, "log group deleted") if call == "iam:CreateRole" => {
                    Some("the tags of the role tell where the rest of the app is: nothing of it comes first")
                }
                (Part::Role, _, "role policy deleted" | "role policy opened" | "foreign policy attached")
                    if blocked.contains("boundary") =>
                {
                    Some("the operator writes the policies of no role but one under the boundary")
                }
                (Part::Function, Part::Function, _) if call == "lambda:CreateFunction" => Some("there is no function"),
                (Part::LogGroup, _, "retention changed" | "retention removed") if call == "logs:CreateLogGroup" => {
                    Some("there is no log group")
                }
                _ => None,
            }
        }
        Block::Tags(tags) => match (part(tags), of, kind) {
            (lost, of, _) if lost == of => Some("whose the resource is nobody can know"),
            (Part::Group, _, "endpoint deleted" | "endpoint vanished" | "endpoint's groups swapped") => {
                Some("the endpoint carries a group, and nobody can know whose that is")
            }
            (Part::Group | Part::Endpoint, _, "function deleted" | "function detached") => Some(WAITS),
            (Part::Endpoint, _, "group deleted") => {
                Some("an endpoint without tags is known by its group alone: without both, another one comes")
            }
            (Part::Role | Part::LogGroup, _, "function deleted") => Some(EXACT),
            (Part::Function, _, "role deleted" | "role replaced") => Some("whose the function is nobody can know"),
            _ => None,
        },
        Block::EndpointPending => match (of, kind) {
            (Part::Endpoint, _) => Some("AWS is at work on the endpoint"),
            (_, "function deleted") => Some(WAITS),
            (_, "group deleted") => Some("AWS is at work on the endpoint that carries the group"),
            _ => None,
        },
        Block::FunctionPending => match (of, kind) {
            (Part::Function, _) => Some("Lambda is at work on the function"),
            (_, "role deleted" | "role replaced") => Some("Lambda is at work on the function that is given the role"),
            (_, "group deleted") => Some("Lambda is at work on the function that carries the group"),
            _ => None,
        },
        Block::Suspended => match of {
            Part::Role | Part::LogGroup | Part::Function => Some("nothing is written for an app that is suspended"),
            Part::Group | Part::Endpoint => None,
        },
    }
}

/// The network is not ready for functions meanwhile.
fn blocks_network(blocked: &str) -> bool {
    part(blocked) == Part::Group
        || ["endpoint deleted", "endpoint vanished", "endpoint policy opened"].contains(&blocked)
}

/// What became of a cell.
enum Cell {
    /// It was put right, after so long.
    PutRight(Duration),
    /// It stands on what is blocked.
    Stands(&'static str),
    /// It cannot happen.
    Never(&'static str),
    Amiss(String),
}

impl Cell {
    fn shown(&self) -> String {
        match self {
            Self::PutRight(time) => format!("put right in {} s", time.as_secs()),
            Self::Stands(why) => format!("waits: {why}"),
            Self::Never(why) => format!("— {why}"),
            Self::Amiss(what) => format!("!! {what}"),
        }
    }
}

/// Runs one life under a clock of its own.
fn run<T>(life: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(scene(life))
}

fn act(scene: &Scene, drift: &Drift) -> bool {
    scene.aws.act(&drift.action).is_ok()
}

/// What differs, in short.
fn differs(scene: &Scene, wanted: &BTreeSet<String>) -> String {
    let now = shape(&scene.aws.world());
    let cut = |it: &String| it.chars().take(200).collect::<String>();
    let lost: Vec<String> = wanted.difference(&now).map(cut).collect();
    let new: Vec<String> = now.difference(wanted).map(cut).collect();
    format!("not put right: lost {lost:?}, new {new:?}")
}

/// Blocks something, and lets that settle.
async fn block(scene: &Scene, vpc: &VpcId, block: Block) -> Option<&'static str> {
    let refused = |kind: &'static str, fault: Fault| {
        let call = writes_of(kind)[0];
        scene.aws.fail_next(call, Fault { times: u32::MAX, ..fault });
        act(scene, &named(scene, kind).remove(0)).then_some(()).ok_or("AWS does not let it happen").err()
    };
    let mut settles = RESYNC + Duration::from_mins(1);
    match block {
        Block::LeadsOut => {
            lead_out(scene, vpc);
            settles = TOPOLOGY;
        }
        Block::NoDns => {
            let dns = VpcDns { support: false, hostnames: true };
            by_hand(scene, ByHand::SetVpcDns { vpc: vpc.clone(), dns });
            settles = TOPOLOGY;
        }
        Block::Read(call) => {
            deny(scene, call);
            settles = TOPOLOGY + RESYNC;
        }
        Block::Roles => {
            for call in ["iam:GetAccountAuthorizationDetails", "iam:ListRoles"] {
                deny(scene, call);
            }
        }
        Block::Write(kind) => {
            let service = writes_of(kind)[0].split(':').next().unwrap_or_default();
            let code = if service == "ec2" { "UnauthorizedOperation" } else { "AccessDenied" };
            if let Some(why) = refused(kind, Fault::new(403, code, "no")) {
                return Some(why);
            }
        }
        Block::Quota(kind) => {
            let code = match writes_of(kind)[0] {
                "iam:PutRolePolicy" => "LimitExceeded",
                "lambda:CreateFunction" => "CodeStorageExceededException",
                _ => "RulesPerSecurityGroupLimitExceeded",
            };
            if let Some(why) = refused(kind, Fault::new(400, code, "full")) {
                return Some(why);
            }
        }
        Block::Tags(kind) => {
            act(scene, &named(scene, kind).remove(0));
        }
        Block::EndpointPending => {
            let id = scene.aws.world().regions[&Scene::region()].endpoints.keys().next().expect("an endpoint").clone();
            by_hand(scene, ByHand::SetEndpointState { endpoint: id, state: EndpointState::Pending, last_error: None });
        }
        Block::FunctionPending => {
            let world = scene.aws.world();
            let function = world.regions[&Scene::region()].functions.keys().next().expect("a function").clone();
            by_hand(scene, ByHand::SetFunctionState { function, state: FunctionState::Pending, reason: None });
            // The state is in no listing: something that is puts the function in question.
            crate::scene::touch(scene, "bot");
        }
        Block::Suspended => {
            scene.apply("bot", json!({"network": {"vpcId": vpc.as_str()}, "models": [MODEL], "suspend": true}));
        }
    }
    sleep(settles).await;
    None
}

/// A drift while something is blocked.
async fn blocked(kind: &'static str, by: Block) -> Cell {
    let (scene, vpc) = at_rest().await;
    if let Some(why) = block(&scene, &vpc, by).await {
        return Cell::Never(why);
    }
    let before = shape(&scene.aws.world());
    // What stands on no tag that is lost, and is there still; of a role's policies ours, which is the last one by name.
    let mut all = named(&scene, kind).into_iter();
    let Some(drift) = (if kind.starts_with("role policy") { all.next_back() } else { all.next() }) else {
        return Cell::Never("it is there already, or what it would happen to is not");
    };
    if !act(&scene, &drift) {
        return Cell::Never("AWS does not let it happen");
    }
    if shape(&scene.aws.world()) == before {
        return Cell::Never("nothing changes by it");
    }
    match (until_shape(&scene, &before, WITHIN).await, stands_on(kind, by)) {
        // What it stands on may be there in time all the same.
        (Some(time), _) => Cell::PutRight(time),
        (None, Some(why)) => Cell::Stands(why),
        (None, None) => Cell::Amiss(differs(&scene, &before)),
    }
}

/// Two drifts at once. Of what lost its tags, the remedy is applied after a resync.
async fn both(one: &'static str, other: &'static str) -> Cell {
    let (scene, _) = at_rest().await;
    let before = shape(&scene.aws.world());
    let (first, mut second) = (named(&scene, one).remove(0), named(&scene, other));
    let second = if one == other {
        match second.len() {
            1 => return Cell::Never("there is one such resource"),
            _ => second.remove(1),
        }
    } else {
        second.remove(0)
    };
    let happened = (act(&scene, &first) && act(&scene, &second)) || {
        let (scene, again) = (&scene, [&second, &first]);
        again.into_iter().all(|drift| act(scene, drift))
    };
    if !happened {
        return Cell::Never("AWS does not let both happen");
    }
    let unowned: Vec<&Drift> =
        [&first, &second].into_iter().filter(|drift| unowned_kinds().contains(&drift.name)).collect();
    if !unowned.is_empty() {
        sleep(RESYNC + Duration::from_secs(30)).await;
        for drift in unowned {
            if !retag(&scene, &drift.action) {
                return Cell::Never("what lost its tags is not there any more");
            }
        }
    }
    match until_shape(&scene, &before, WITHIN).await {
        Some(time) => Cell::PutRight(time),
        None if [one, other] == ["endpoint's tags removed", "private DNS switched"] => {
            Cell::Stands("the choice about private DNS is on a tag: without the tag, what there is becomes the choice")
        }
        None => Cell::Amiss(differs(&scene, &before)),
    }
}

fn lived(life: impl Future<Output = Cell>) -> Cell {
    catch_unwind(AssertUnwindSafe(|| run(life))).unwrap_or_else(|_| Cell::Amiss("a panic".to_owned()))
}

/// A kind of drift, and what is there besides: another one, or a block.
type Meeting = (&'static str, Result<&'static str, Block>);

/// All cells of the table.
fn cells() -> Vec<Meeting> {
    let (kinds, blocks) = (all_kinds(), blocks());
    let mut cells = Vec::new();
    for (at, one) in kinds.iter().enumerate() {
        cells.extend(kinds[at..].iter().map(|other| (*one, Ok(*other))));
        cells.extend(blocks.iter().map(|block| (*one, Err(*block))));
    }
    cells
}

/// What each sample of the table holds: every kind of drift beside each part, and every block with a drift of each part.
fn facets((kind, with): &Meeting) -> Vec<String> {
    match with {
        Ok(other) => vec![format!("{kind} {:?}", part(other)), format!("{other} {:?}", part(kind))],
        Err(block) => vec![format!("{block:?} {:?}", part(kind)), format!("{kind} blocked")],
    }
}

#[test]
fn the_sample_of_repairs_holds_every_drift_and_every_block() {
    let sample = sampled::covering(&cells(), facets);
    let blocked: BTreeSet<_> = sample.iter().filter_map(|(kind, with)| Some((*kind, with.err()?))).collect();
    let drifts: BTreeSet<_> = blocked.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(drifts, all_kinds().into_iter().collect(), "each while something is blocked");
    assert_eq!(blocked.iter().map(|(_, block)| *block).collect::<BTreeSet<_>>(), blocks().into_iter().collect());
    let beside = sample.iter().filter_map(|(kind, with)| Some([*kind, with.ok()?])).flatten();
    assert_eq!(beside.collect::<BTreeSet<_>>(), drifts, "each beside another one");
}

#[test]
fn every_drift_is_put_right_within_a_resync_beside_others_and_any_block() {
    let all = cells();
    let cells = sampled::chosen(&all, &std::env::var("REPAIR").unwrap_or_default(), facets);
    let (next, results) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                while let Some(cell @ (kind, with)) = cells.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let found = match with {
                        Ok(other) => lived(both(kind, other)),
                        Err(block) => lived(blocked(kind, *block)),
                    };
                    results.lock().unwrap().insert(*cell, found);
                }
            });
        }
    });
    let results = results.into_inner().unwrap();
    tell(&results);
    let shown = |(kind, with): &(&str, Result<&str, Block>)| match with {
        Ok(other) => format!("{kind} and {other}"),
        Err(block) => format!("{kind} while {block:?}"),
    };
    let amiss: Vec<String> = results
        .iter()
        .filter(|(_, found)| matches!(found, Cell::Amiss(_)))
        .map(|(cell, found)| format!("{}: {}", shown(cell), found.shown()))
        .collect();
    let kinds = all_kinds().len();
    let how_many = format!(
        "{kinds} kinds x {kinds} kinds and {} blocks: {} of {} cells",
        blocks().len(),
        results.len(),
        all.len()
    );
    figures::tell(
        figures::Part::Faults,
        "every drift beside every other and while another leg is blocked",
        &how_many,
        amiss.len(),
    );
    assert!(amiss.is_empty(), "{} of {} cells:\n{}", amiss.len(), results.len(), amiss.join("\n"));
}

/// Writes the table to a file, and one line about it where the runner's capture does not swallow it.
fn tell(results: &BTreeMap<(&'static str, Result<&'static str, Block>), Cell>) {
    let mut table = String::new();
    let mut before = None;
    for ((kind, with), found) in results {
        if before != Some(kind) {
            let _ = writeln!(table, "\n{kind}");
            before = Some(kind);
        }
        let with = match with {
            Ok(other) => format!("and {other}"),
            Err(block) => format!("while {block:?}"),
        };
        let _ = writeln!(table, "  {with:<58}{}", found.shown());
    }
    let count = |is: fn(&Cell) -> bool| results.values().filter(|cell| is(cell)).count();
    let longest = results.values().filter_map(|cell| match cell {
        Cell::PutRight(time) => Some(time.as_secs()),
        Cell::Stands(_) | Cell::Never(_) | Cell::Amiss(_) => None,
    });
    let summary = format!(
        "repair table: {} cells: {} put right, within {} s at most (bound {} s); {} wait for what they stand on; {} cannot \
         happen; {} amiss\n",
        results.len(),
        count(|cell| matches!(cell, Cell::PutRight(_))),
        longest.max().unwrap_or_default(),
        WITHIN.as_secs(),
        count(|cell| matches!(cell, Cell::Stands(_))),
        count(|cell| matches!(cell, Cell::Never(_))),
        count(|cell| matches!(cell, Cell::Amiss(_))),
    );
    std::fs::write(figures::results().join("repair-table.txt"), format!("{summary}{table}"))
        .expect("the table is written");
    std::io::stdout().write_all(format!("\n{summary}").as_bytes()).expect("the summary is written");
}
