//! Removing what an installation has in AWS by what AWS itself says: by path and tag, without any object of Kubernetes.
//!
//! ```text
//! look ──► Found ──► plan ──► steps (Removal: can create nothing) ──► look again, until nothing is left that is to go
//! ```
//!
//! All that is known is in AWS, so that a removal can be interrupted anywhere and begun again.

mod look;
pub mod observation;
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
    look::Looker,
    observation::SweepObservation,
    plan::{Memory, Plan, Scope, Unit},
    removal::Removal,
};
use super::{Failure, Item};
use crate::{
    api::condition::{ConditionType, Leg, LegState},
    aws::{Aws, AwsError, Class, Ec2Write, Failure as AwsFailure, IamWrite, Region, Tags, Write},
    governance::Governance,
    identity::{InstallationId, OwnerMark, is_retained},
    leadership::Leadership,
    network::group_in_use,
    plan::explain_failure,
};

/// After so long AWS shows what was written, everywhere.
pub const SETTLED_AFTER: Duration = Duration::from_mins(1);

/// What is to be removed, and how.
#[derive(Clone, Debug)]
pub struct Order {
    /// Whose resources.
    pub installation: InstallationId,
    /// The region of calls that have none, and of VPCs for which an app names none.
    pub home: Region,
    /// Further regions to look at.
    pub regions: BTreeSet<Region>,
    /// The mark of the cluster whose resources are to go.
    pub owner: Option<OwnerMark>,
    /// The permissions boundary of the installation's roles.
    pub governance: Governance,
    /// Do it, and do not only tell.
    pub confirmed: bool,
}

/// What came of carrying out a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Something was done.
    Made,
    /// AWS is waited for.
    Awaited,
    /// Nothing goes on before somebody acts.
    Stuck,
}

/// A removal under way.
pub struct Sweep {
    looker: Looker,
    scope: Scope,
    regions: BTreeSet<Region>,
    memory: Memory,
    started: Instant,
    /// When each step was done: what does not show yet is not done again at once.
    done: BTreeMap<Removal, Instant>,
}

impl Sweep {
    /// Asks who we are to AWS. `owner` is whose marks are ours.
    ///
    /// # Errors
    /// AWS's.
    pub async fn new(aws: Arc<dyn Aws>, order: &Order, owner: Option<OwnerMark>) -> Result<Self, AwsError> {
        let Order { installation, home, regions, governance, .. } = order.clone();
        let looker = Looker::new(aws, installation.clone(), home.clone());
        let account = looker.caller().await?.account.clone();
        let scope = Scope { installation, account, home, owner, governance };
        let (memory, started, done) = (Memory::default(), Instant::now(), BTreeMap::new());
        Ok(Self { looker, scope, regions, memory, started, done })
    }

    /// Whose resources may be removed.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// From now on nobody else creates anything: what was created before shows within a minute.
    pub fn begin(&mut self) {
        self.started = Instant::now();
        self.memory = Memory::default();
        self.done.clear();
    }

    /// AWS shows by now all that was there when this began.
    pub fn is_settled(&self) -> bool {
        self.memory.settled
    }

    /// One complete look, and what follows from it.
    ///
    /// # Errors
    /// AWS's: what could not be looked at is not known to be gone.
    pub async fn look(&mut self, items: &[Item]) -> Result<(SweepObservation, Plan), AwsError> {
        let regions = self.regions.iter().chain(items.iter().filter_map(Item::region)).cloned().collect();
        let settled = self.started.elapsed() >= SETTLED_AFTER;
        let observation = self.looker.look(&regions).await?;
        self.memory.settled = settled;
        self.memory.note(&observation, &self.scope, self.started.elapsed());
        let plan = plan::plan(&observation, items, &self.scope, &self.memory);
        Ok((observation, plan))
    }

    /// Which other installations have roles in the account, by the paths of the roles.
    ///
    /// # Errors
    /// As `iam:ListRoles`.
    pub async fn other_installations(&self) -> Result<BTreeSet<InstallationId>, AwsError> {
        self.looker.installations().await
    }

    /// Makes the writes of a plan. A write that fails ends the others of its unit, and is told there.
    ///
    /// # Errors
    /// When told to stop, when the right to write is lost, and when AWS does not take the credentials.
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
                let snapshot = self.looker.region(&region);
                let Ok(result) = leadership.write(snapshot.write(removal.write())).await else {
                    return Err(Failure::Interrupted);
                };
                match result {
                    Ok(_) => self.remember(removal),
                    // Each is about one resource that was there: somebody was quicker, or an answer was lost.
                    Err(error) if error.failure == AwsFailure::NotFound => self.remember(removal),
                    Err(error) if error.failure == AwsFailure::Credentials => return Err(Failure::Look(error)),
                    Err(error) => {
                        self.blame(unit, &region, removal.write(), &error).await;
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

    /// Tells in the unit what failed. What only somebody can change is not waited for.
    async fn blame(&self, unit: &mut Unit, region: &Region, write: &Write, error: &AwsError) {
        let leg = match (write, error.failure) {
            (Write::Ec2(Ec2Write::DeleteSecurityGroup { group }), AwsFailure::InUse) => {
                self.what_keeps(region, group).await
            }
            _ => None,
        };
        let leg = leg.unwrap_or_else(|| explain_failure(ConditionType::Ready, &write.resource(), error));
        let Leg { state: standing, message, .. } = leg;
        match standing {
            LegState::Blocked => {
                unit.waits.clear();
                unit.problems.push(message);
            }
            LegState::Met | LegState::Progressing | LegState::Unknown => unit.waits.push(message),
        }
    }

    /// What keeps a group that AWS refused to delete, if that can be found out.
    async fn what_keeps(&self, region: &Region, group: &crate::aws::SecurityGroupId) -> Option<Leg> {
        let snapshot = self.looker.region(region);
        let interfaces = snapshot.group_interfaces(group).await.ok()?;
        let referring = snapshot.referring_groups(group).await.ok()?;
        group_in_use(group, &interfaces, &referring)
    }
}

/// The failure of a look is one that may pass by itself.
pub(super) fn passes(error: &AwsError) -> bool {
    match error.failure.class() {
        Class::Retry | Class::Wait => true,
        Class::UserMustAct => false,
    }
}
