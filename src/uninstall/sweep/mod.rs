//! Removes the resources of an installation in AWS, found by path and tag alone, without any Kubernetes object.
//!
//! ```text
//! Observer ──► SweepObservation ──► plan ──► Removals (which can create nothing) ──► observe again, until nothing is left to remove
//! ```
//!
//! A removal can be interrupted anywhere and run again, because AWS has all facts that a removal needs.

pub mod observation;
mod observer;
pub mod plan;
pub mod removal;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::{
    observation::SweepObservation,
    observer::Observer,
    plan::{Memory, Plan, Scope, Unit},
    removal::Removal,
};
use super::{Failure, ObjectFacts};
use crate::{
    api::condition::{ConditionType, Leg, LegState},
    aws::{Aws, AwsError, Class, Ec2Write, Failure as AwsFailure, IamWrite, Region, Tags, Write},
    governance::Governance,
    identity::{InstallationId, OwnerMark, is_retained},
    leadership::Leadership,
    network::group_in_use,
    plan::explain_failure,
};

/// After this time, AWS shows each write everywhere.
pub const SETTLED_AFTER: Duration = Duration::from_mins(1);

/// Whether the person who runs a command has agreed to its changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// The changes are made.
    Given,
    /// The changes are only listed.
    Missing,
}

impl Consent {
    /// The consent that the flag `--yes` gives.
    pub fn of(yes: bool) -> Self {
        if yes { Self::Given } else { Self::Missing }
    }
}

/// The request for a teardown.
#[derive(Clone, Debug)]
pub struct TeardownRequest {
    /// The installation whose resources are removed.
    pub installation: InstallationId,
    /// The region of calls without a region, and of VPCs for which an app names none.
    pub home: Region,
    /// Further regions to look at.
    pub regions: BTreeSet<Region>,
    /// The mark of the cluster whose resources are removed, if a person named the mark.
    pub owner: Option<OwnerMark>,
    /// The permissions boundary of the installation's roles.
    pub governance: Governance,
    /// Whether anything is removed.
    pub consent: Consent,
}

/// The result of carrying out a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A write was made.
    Made,
    /// No write was possible: AWS is still at work.
    Awaited,
    /// A person must act first.
    Stuck,
}

/// A removal under way.
pub struct Sweep {
    observer: Observer,
    scope: Scope,
    regions: BTreeSet<Region>,
    memory: Memory,
    started: Instant,
    /// The time of each write. A write that does not show yet is not repeated at once.
    done: BTreeMap<Removal, Instant>,
}

impl Sweep {
    /// Asks AWS for the caller's account. Resources with the mark `owner` may be removed.
    ///
    /// # Errors
    /// The error of `sts:GetCallerIdentity`.
    pub async fn new(aws: Arc<dyn Aws>, request: &TeardownRequest, owner: Option<OwnerMark>) -> Result<Self, AwsError> {
        let TeardownRequest { installation, home, regions, governance, .. } = request.clone();
        let observer = Observer::new(aws, installation.clone(), home.clone());
        let account = observer.caller().await?.account.clone();
        let scope = Scope { installation, account, home, owner, governance };
        let (memory, started, done) = (Memory::default(), Instant::now(), BTreeMap::new());
        Ok(Self { observer, scope, regions, memory, started, done })
    }

    /// The scope of the removal.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Notes that from now on nobody else creates resources: within a minute AWS shows all that exist.
    pub fn begin(&mut self) {
        self.started = Instant::now();
        self.memory = Memory::default();
        self.done.clear();
    }

    /// AWS shows by now all resources that existed when the removal began.
    pub fn is_settled(&self) -> bool {
        self.memory.settled
    }

    /// Observes everything, and plans.
    ///
    /// # Errors
    /// A read that failed: only a complete observation shows that a resource is gone.
    pub async fn observe(&mut self, objects: &[ObjectFacts]) -> Result<(SweepObservation, Plan), AwsError> {
        let regions = self.regions.iter().chain(objects.iter().filter_map(ObjectFacts::region)).cloned().collect();
        let settled = self.started.elapsed() >= SETTLED_AFTER;
        let observation = self.observer.observe(&regions).await?;
        self.memory.settled = settled;
        self.memory.note(&observation, &self.scope, self.started.elapsed());
        let plan = plan::plan(&observation, objects, &self.scope, &self.memory);
        Ok((observation, plan))
    }

    /// The other installations that have roles in the account, by the paths of the roles.
    ///
    /// # Errors
    /// As `iam:ListRoles`.
    pub async fn other_installations(&self) -> Result<BTreeSet<InstallationId>, AwsError> {
        self.observer.installations().await
    }

    /// Makes the writes of a plan. A failed write ends the later writes of its unit, and the unit records the failure.
    ///
    /// # Errors
    /// The removal was interrupted, the Lease was lost, or AWS refused the credentials.
    pub async fn carry_out(
        &mut self,
        plan: &mut Plan,
        leadership: &Leadership,
        stop: &CancellationToken,
    ) -> Result<Progress, Failure> {
        let mut made = false;
        for unit in &mut plan.units {
            for (region, removal) in std::mem::take(&mut unit.steps) {
                if self.done.get(&removal).is_some_and(|at| at.elapsed() < SETTLED_AFTER) {
                    continue;
                }
                if stop.is_cancelled() {
                    return Err(Failure::Interrupted);
                }
                let snapshot = self.observer.region(&region);
                let Ok(result) = leadership.write(snapshot.write(removal.write())).await else {
                    return Err(Failure::Interrupted);
                };
                match result {
                    Ok(_) => self.remember(removal),
                    // The resource existed: somebody else removed the resource, or an answer was lost.
                    Err(error) if error.failure == AwsFailure::NotFound => self.remember(removal),
                    Err(error) if error.failure == AwsFailure::Credentials => return Err(Failure::Look(error)),
                    Err(error) => {
                        self.record_failure(unit, &region, removal.write(), &error).await;
                        break;
                    }
                }
                made = true;
            }
        }
        Ok(match made {
            true => Progress::Made,
            false if plan.is_stuck() => Progress::Stuck,
            false => Progress::Awaited,
        })
    }

    fn remember(&mut self, removal: Removal) {
        let retains = |tags: &Tags| is_retained(tags);
        if let Write::Iam(IamWrite::TagRole { role, tags }) = removal.write()
            && retains(tags)
        {
            self.memory.retained.insert(role.clone());
        }
        self.done.insert(removal, Instant::now());
    }

    /// Records a failure in the unit. A failure that only a person can correct ends the waits of the unit.
    async fn record_failure(&self, unit: &mut Unit, region: &Region, write: &Write, error: &AwsError) {
        let leg = match (write, error.failure) {
            (Write::Ec2(Ec2Write::DeleteSecurityGroup { group }), AwsFailure::InUse) => {
                self.what_keeps(region, group).await
            }
            _ => None,
        };
        let leg = leg.unwrap_or_else(|| explain_failure(ConditionType::Ready, &write.resource(), error));
        let Leg { state, message, .. } = leg;
        match state {
            LegState::Blocked => {
                unit.waits.clear();
                unit.problem(message);
            }
            LegState::Met | LegState::Progressing | LegState::Unknown => unit.wait(message),
        }
    }

    /// The uses of a security group that AWS refused to delete, if AWS shows them.
    async fn what_keeps(&self, region: &Region, group: &crate::aws::SecurityGroupId) -> Option<Leg> {
        let snapshot = self.observer.region(region);
        let interfaces = snapshot.group_interfaces(group).await.ok()?;
        let referring = snapshot.referring_groups(group).await.ok()?;
        group_in_use(group, &interfaces, &referring)
    }
}

/// Whether a failed observation may succeed later.
pub(super) fn is_transient(error: &AwsError) -> bool {
    match error.failure.class() {
        Class::Retry | Class::Wait => true,
        Class::UserMustAct => false,
    }
}
