//! What may happen to a cluster, an account and an operator: drawn from a seed, kept as plain data, so that a history can
//! be printed, shortened and played again.

use std::{fmt, time::Duration};

use crate::memory::aws::Delays;

/// The names of all apps, and the number of the VPC that each is in: an app never moves, as the API server would refuse that.
pub const APPS: [(&str, usize); 4] = [("ada", 0), ("bob", 0), ("cyd", 0), ("dan", 1)];

/// The names of networks that a platform team writes, and the number of the VPC of each.
pub const NETWORKS: [(&str, usize); 3] = [("prod", 0), ("spare", 0), ("other", 1)];

/// The models that apps ask for.
pub const MODELS: [&str; 3] =
    ["amazon.nova-lite-v1:0", "anthropic.claude-3-haiku-20240307-v1:0", "meta.llama3-8b-instruct-v1:0"];

/// Drifts that leave something without the tag of the installation are not drawn: nobody can know whose it is then, and the
/// operator waits for people to say so (tests/in_memory/drift.rs shows that it tells them).
pub const DRIFTS: [&str; 31] = [
    "code replaced",
    "configuration changed",
    "egress opened",
    "egress rule deleted",
    "endpoint deleted",
    "endpoint policy opened",
    "endpoint vanished",
    "endpoint's groups swapped",
    "endpoint's subnet removed",
    "environment changed",
    "foreign denial added",
    "foreign inline policy added",
    "foreign policy attached",
    "function deleted",
    "function detached",
    "function idle",
    "function setting changed",
    "group deleted",
    "ingress opened",
    "ingress rule deleted",
    "log group deleted",
    "owner mark removed",
    "permissions boundary removed",
    "permissions boundary swapped",
    "private DNS switched",
    "retention changed",
    "role deleted",
    "role policy deleted",
    "role policy opened",
    "role replaced",
    "trust policy changed",
];

/// Calls that fail by themselves; `*` is any.
const OPERATIONS: [&str; 25] = [
    "*",
    "*",
    "*",
    "CreateVpcEndpoint",
    "ModifyVpcEndpoint",
    "DeleteVpcEndpoints",
    "DescribeVpcEndpoints",
    "CreateSecurityGroup",
    "DescribeSecurityGroups",
    "AuthorizeSecurityGroupEgress",
    "RevokeSecurityGroupEgress",
    "DeleteSecurityGroup",
    "CreateRole",
    "PutRolePermissionsBoundary",
    "PutRolePolicy",
    "TagRole",
    "DeleteRole",
    "GetAccountAuthorizationDetails",
    "CreateFunction",
    "UpdateFunctionConfiguration",
    "DeleteFunction",
    "ListFunctions",
    "GetFunction",
    "CreateLogGroup",
    "DescribeNetworkInterfaces",
];

/// What an app is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppSpec {
    /// Indices into [`MODELS`].
    pub models: Vec<usize>,
    /// Indices into the VPC's subnets; none: the operator chooses. They stay what they were at first.
    pub subnets: Vec<usize>,
    pub memory_mib: Option<i32>,
    pub retention_days: Option<i32>,
    pub interval_seconds: Option<i32>,
    /// It has a variable whose value must not be seen anywhere.
    pub secret: bool,
    pub suspend: bool,
    pub retain: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AwsFault {
    Throttled,
    Unavailable,
    Unreachable,
    AnswerLost,
    AccessDenied,
    Malformed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KubernetesFault {
    Conflict,
    TooManyRequests,
    Unavailable,
    /// The write is done, its answer lost.
    WriteAnswerLost,
    /// The same of the status alone.
    StatusAnswerLost,
    Slow(Duration),
}

/// One thing that happens. `pick` chooses among what there is then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Time passes, and everybody does what they do.
    Pass(Duration),
    /// The clock jumps: the machine slept.
    Jump(Duration),
    /// Somebody applies an app, for the first time or again.
    Apply {
        app: &'static str,
        spec: AppSpec,
    },
    Delete {
        app: &'static str,
    },
    DeleteNamespace,
    ApplyNetwork {
        network: &'static str,
        retain: bool,
    },
    DeleteNetwork {
        network: &'static str,
    },
    /// Somebody deletes the network that the operator made for a VPC.
    DeleteImplicit {
        vpc: usize,
    },
    Touch {
        app: &'static str,
    },
    /// Somebody wipes the status of all networks and apps.
    WipeStatus,
    Drift {
        name: &'static str,
        pick: usize,
    },
    /// Somebody makes a copy of an endpoint of ours, with its tags.
    CopyEndpoint {
        pick: usize,
    },
    EndpointFails {
        pick: usize,
    },
    /// A network's ACLs cut everything off, or nothing more.
    Close {
        vpc: usize,
        closed: bool,
    },
    /// Somebody marks the groups of a network as another cluster's, or as this one's again.
    Mark {
        vpc: usize,
        another: bool,
    },
    /// AWS becomes slower or faster.
    Delays(Delays),
    AwsFails {
        operation: &'static str,
        fault: AwsFault,
        times: u32,
    },
    AwsRecovers,
    KubernetesFails {
        fault: KubernetesFault,
        times: usize,
    },
    KubernetesRecovers,
    BreakWatches {
        history_forgotten: bool,
    },
    HoldWatches,
    ReleaseWatches,
    /// The operator is killed once the others had so many turns.
    Kill {
        after: u32,
    },
    Stop,
    Start,
}

/// What happens, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    pub seed: u64,
    /// How fast AWS is at first.
    pub delays: Delays,
    pub actions: Vec<Action>,
}

impl fmt::Display for History {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut at = Duration::ZERO;
        writeln!(out, "  at first {:?}", self.delays)?;
        for action in &self.actions {
            writeln!(out, "  {at:>12.1?}  {action:?}")?;
            if let Action::Pass(time) | Action::Jump(time) = action {
                at += *time;
            }
        }
        Ok(())
    }
}

/// Draws a history.
pub fn draw(seed: u64) -> History {
    let mut rng = fastrand::Rng::with_seed(seed);
    let delays = if rng.u8(..4) == 0 { Delays::default() } else { draw_delays(&mut rng) };
    let mut actions = vec![Action::Start];
    for _ in 0..rng.usize(4..40) {
        actions.push(draw_action(&mut rng));
        // Often the next thing happens while the operator is still at work with this one.
        match rng.u8(..20) {
            0..=6 => {}
            7..=14 => actions.push(Action::Pass(Duration::from_millis(rng.u64(1..20_000)))),
            15..=18 => actions.push(Action::Pass(Duration::from_secs(rng.u64(20..600)))),
            _ => actions.push(Action::Pass(Duration::from_secs(rng.u64(600..5400)))),
        }
    }
    History { seed, delays, actions }
}

fn draw_action(rng: &mut fastrand::Rng) -> Action {
    let app = APPS[rng.usize(..APPS.len())].0;
    let (network, _) = NETWORKS[rng.usize(..NETWORKS.len())];
    match rng.u8(..100) {
        0..=26 => Action::Apply { app, spec: draw_spec(rng) },
        27 => Action::Mark { vpc: rng.usize(..2), another: rng.u8(..3) > 0 },
        28..=37 => Action::Delete { app },
        38 => Action::DeleteNamespace,
        39..=42 => Action::ApplyNetwork { network, retain: rng.u8(..4) == 0 },
        43..=46 => Action::DeleteNetwork { network },
        47 | 48 => Action::DeleteImplicit { vpc: rng.usize(..2) },
        49..=51 => Action::Touch { app },
        52 => Action::WipeStatus,
        53..=67 => Action::Drift { name: DRIFTS[rng.usize(..DRIFTS.len())], pick: rng.usize(..1000) },
        68 => Action::CopyEndpoint { pick: rng.usize(..1000) },
        69 => Action::EndpointFails { pick: rng.usize(..1000) },
        70 => Action::Close { vpc: rng.usize(..2), closed: rng.bool() },
        71 | 72 => Action::Delays(draw_delays(rng)),
        73..=80 => {
            let faults = [
                AwsFault::Throttled,
                AwsFault::Unavailable,
                AwsFault::Unreachable,
                AwsFault::AnswerLost,
                AwsFault::AnswerLost,
                AwsFault::AccessDenied,
                AwsFault::Malformed,
            ];
            let fault = faults[rng.usize(..faults.len())];
            let times = if rng.u8(..5) == 0 { u32::MAX } else { rng.u32(1..12) };
            Action::AwsFails { operation: OPERATIONS[rng.usize(..OPERATIONS.len())], fault, times }
        }
        81 | 82 => Action::AwsRecovers,
        83..=86 => {
            let fault = match rng.u8(..6) {
                0 => KubernetesFault::Conflict,
                1 => KubernetesFault::TooManyRequests,
                2 => KubernetesFault::Unavailable,
                3 => KubernetesFault::WriteAnswerLost,
                4 => KubernetesFault::StatusAnswerLost,
                _ => KubernetesFault::Slow(Duration::from_millis(rng.u64(1..30_000))),
            };
            let times = if rng.u8(..5) == 0 { usize::MAX } else { rng.usize(1..12) };
            Action::KubernetesFails { fault, times }
        }
        87 => Action::KubernetesRecovers,
        88 | 89 => Action::BreakWatches { history_forgotten: rng.bool() },
        90 => Action::HoldWatches,
        91 => Action::ReleaseWatches,
        92..=94 => Action::Kill { after: rng.u32(..150) },
        95 => Action::Stop,
        96..=98 => Action::Start,
        _ => Action::Jump(Duration::from_secs(rng.u64(1..7200))),
    }
}

fn draw_spec(rng: &mut fastrand::Rng) -> AppSpec {
    let mut models: Vec<usize> = (0..MODELS.len()).filter(|_| rng.bool()).collect();
    if models.is_empty() {
        models.push(rng.usize(..MODELS.len()));
    }
    let subnets = if rng.u8(..4) == 0 { draw_subnets(rng) } else { Vec::new() };
    AppSpec {
        models,
        subnets,
        memory_mib: (rng.u8(..3) == 0).then(|| rng.i32(128..1024)),
        retention_days: (rng.u8(..4) == 0).then_some(7),
        interval_seconds: (rng.u8(..4) == 0).then(|| rng.i32(300..7200)),
        secret: rng.u8(..3) == 0,
        suspend: rng.u8(..8) == 0,
        retain: rng.u8(..6) == 0,
    }
}

/// Two zones are the least that a path takes; the third subnet is only in the second VPC.
fn draw_subnets(rng: &mut fastrand::Rng) -> Vec<usize> {
    [[0, 1], [0, 2], [1, 2]][rng.usize(..3)].into()
}

fn draw_delays(rng: &mut fastrand::Rng) -> Delays {
    let mut up_to = |longest: u64| if rng.u8(..3) == 0 { 0 } else { rng.u64(..=longest) };
    Delays {
        ec2_visible: up_to(10),
        endpoint_available: up_to(180),
        endpoint_deleted: up_to(180),
        endpoint_forgotten: up_to(3600),
        function_active: up_to(60),
        function_updated: up_to(20),
        interfaces_created: up_to(90),
        function_deleted: up_to(5),
        interfaces_released: up_to(3600),
        role_usable: up_to(12),
        role_visible: up_to(12),
    }
}
