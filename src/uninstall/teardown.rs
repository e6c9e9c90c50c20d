//! Removing everything: what AWS has of the installation, and the objects of both kinds, if there is a cluster.

use std::{cell::RefCell, collections::BTreeSet, sync::Arc, time::Duration};

use kube::{
    Api, Client,
    api::{DeleteParams, Preconditions},
    core::ObjectMeta,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Failure, Item, Kind, counted,
    lease::{Waiting, holding_the_lease},
    objects, of_this_installation,
    sweep::{
        Order, Progress, SETTLED_AFTER, Sweep,
        observation::SweepObservation,
        passes,
        plan::{ObjectStep, Plan},
    },
};
use crate::{
    api::{PrivateGenAIApp, PrivateGenAINetwork, Recorded, condition::without_request_id},
    aws::Aws,
    engine::{Error, raw, remove_finalizer},
    identity::{OwnerMark, TAG_OWNER},
    leadership::{Election, Leadership},
    plan::listed,
};

/// How often what is left is looked at: at first, and at most.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(15));

/// Where lines for people go, also from two places that take turns.
struct Teller<'a>(RefCell<&'a mut dyn FnMut(String) -> std::io::Result<()>>);

impl Teller<'_> {
    fn tell(&self, line: impl Into<String>) -> std::io::Result<()> {
        (*self.0.borrow_mut())(line.into())
    }
}

/// The cluster whose objects go too.
pub struct Cluster {
    /// The Kubernetes API.
    pub client: Client,
    /// Which cluster it is.
    pub owner: OwnerMark,
    /// The Lease, which keeps an operator from acting meanwhile.
    pub election: Election,
    /// How the Lease is waited for.
    pub waiting: Waiting,
}

/// Removes everything of an installation in AWS that is not retained, and its objects. Nothing is ever created. Without `cluster`,
/// only AWS is looked at, and whoever runs this makes sure that no operator runs. `tell` is given lines for people.
///
/// # Errors
/// When not all is gone, and why; and before anything is done, when objects or marks say that it is not this cluster's or
/// this installation's.
pub async fn teardown(
    cluster: Option<Cluster>,
    aws: Arc<dyn Aws>,
    order: Order,
    stop: CancellationToken,
    mut tell: impl FnMut(String) -> std::io::Result<()>,
) -> Result<(), Failure> {
    let teller = Teller(RefCell::new(&mut tell));
    let owner = match (&cluster, &order.owner) {
        (Some(cluster), Some(named)) if *named != cluster.owner => {
            return Err(Failure::NotThisCluster { named: named.clone(), here: cluster.owner.clone() });
        }
        (Some(cluster), _) => Some(cluster.owner.clone()),
        (None, named) => named.clone(),
    };
    let client = cluster.as_ref().map(|cluster| &cluster.client);
    // The ids are compared before AWS is even asked.
    let items = items(client, &order).await?;
    let sweep = Sweep::new(aws, &order, owner).await.map_err(Failure::Look)?;
    let mut teardown =
        Teardown { client: client.cloned(), order: &order, sweep, told: BTreeSet::new(), teller: &teller };
    teardown.check_account(&items)?;
    let (found, plan) = teardown.look(&items, &stop).await?;
    let nothing = items.is_empty() && plan.units.is_empty();
    if !order.confirmed && !nothing {
        teardown.list(&items, &plan)?;
    }
    teardown.check_marks(&found)?;
    // Objects that name no installation say nothing against a typing error; what others have in AWS does.
    let says_nothing = |item: &Item| item.recorded == Recorded::Nothing;
    if !items.is_empty() && items.iter().all(says_nothing) && plan.units.is_empty() && found.roles.is_empty() {
        let others = teardown.sweep.other_installations().await.map_err(Failure::Look)?;
        if !others.is_empty() {
            return Err(Failure::NothingOfThis { installation: order.installation.clone(), others: listed(others) });
        }
    }
    if nothing {
        teardown.over(&found, &plan)?;
        return teardown.hint(&found).await;
    }
    if !order.confirmed {
        return Err(Failure::NotConfirmed);
    }
    let Some(Cluster { client, election, waiting, .. }) = &cluster else {
        return teardown.finish(&Leadership::always(), &stop).await;
    };
    let work = async |leadership: Leadership| {
        teardown.client = Some(leadership.fence(client));
        teardown.finish(&leadership, &stop).await
    };
    holding_the_lease(client, election, *waiting, &stop, &mut |line| teller.tell(line), work).await
}

/// The objects, all of the installation that was named.
async fn items(client: Option<&Client>, order: &Order) -> Result<Vec<Item>, Failure> {
    let Some(client) = client else { return Ok(Vec::new()) };
    let items = objects(client, Some(&order.home), &order.installation).await?;
    of_this_installation(&items, &order.installation)?;
    Ok(items)
}

/// What came of one pass.
enum Passed {
    /// Nothing is left that is to go.
    Over(Box<(SweepObservation, Plan)>),
    /// Something is.
    Left(Progress),
}

/// What is under way until all is gone.
struct Teardown<'a> {
    client: Option<Client>,
    order: &'a Order,
    sweep: Sweep,
    /// What was told already is not told again.
    told: BTreeSet<String>,
    teller: &'a Teller<'a>,
}

impl Teardown<'_> {
    /// It may take an hour: an API server or AWS that is out of reach or too busy meanwhile is no reason to give up.
    async fn finish(&mut self, leadership: &Leadership, stop: &CancellationToken) -> Result<(), Failure> {
        self.sweep.begin();
        let (mut idle, mut stuck) = (0_u32, None);
        loop {
            let passed = match self.pass(leadership, stop).await {
                Ok(Passed::Over(last)) if self.sweep.is_settled() => return self.over(&last.0, &last.1),
                Ok(Passed::Over(_)) => {
                    self.once("Nothing more shows in AWS. What was created just before may show within a minute: it is looked again.")?;
                    Progress::Awaited
                }
                Ok(Passed::Left(progress)) => progress,
                Err(Failure::Kubernetes(error)) if passes_in_kubernetes(&error) => {
                    tracing::warn!(%error, "the Kubernetes API does not serve now; it is tried again");
                    Progress::Awaited
                }
                Err(Failure::Look(error)) if passes(&error) => {
                    self.once(&format!("AWS could not be looked at: {error}. It is tried again."))?;
                    Progress::Awaited
                }
                Err(failure) => return Err(failure),
            };
            idle = if passed == Progress::Made { 0 } else { idle.saturating_add(1) };
            match (passed, stuck) {
                (Progress::Stuck, Some(since)) if Instant::elapsed(&since) >= SETTLED_AFTER => {
                    return Err(Failure::Left);
                }
                (Progress::Stuck, None) => stuck = Some(Instant::now()),
                (Progress::Stuck, Some(_)) => {}
                (Progress::Made | Progress::Awaited, _) => stuck = None,
            }
            let (first, longest) = LOOK_EVERY;
            let pause = first.saturating_mul(2_u32.saturating_pow(idle.saturating_sub(1))).min(longest);
            if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return Err(Failure::Interrupted);
            }
        }
    }

    /// A look at an installation with a thousand apps takes minutes, and can be given up at any point.
    async fn look(&mut self, items: &[Item], stop: &CancellationToken) -> Result<(SweepObservation, Plan), Failure> {
        let looked = stop.run_until_cancelled(self.sweep.look(items)).await;
        looked.ok_or(Failure::Interrupted)?.map_err(Failure::Look)
    }

    /// Nothing was there from the beginning. It may be a typing error.
    async fn hint(&self, found: &SweepObservation) -> Result<(), Failure> {
        if !found.roles.is_empty() {
            return Ok(());
        }
        let others = self.sweep.other_installations().await.map_err(Failure::Look)?;
        if !others.is_empty() {
            self.teller.tell(format!("Other installations have roles in this account: {}.", listed(others)))?;
        }
        Ok(())
    }

    /// Looks, and does what can be done now.
    async fn pass(&mut self, leadership: &Leadership, stop: &CancellationToken) -> Result<Passed, Failure> {
        if stop.is_cancelled() {
            return Err(Failure::Interrupted);
        }
        let items = items(self.client.as_ref(), self.order).await?;
        self.check_account(&items)?;
        let (found, mut plan) = self.look(&items, stop).await?;
        self.check_marks(&found)?;
        if items.is_empty() && plan.units.is_empty() {
            return Ok(Passed::Over(Box::new((found, plan))));
        }
        let mut made = false;
        for step in &plan.objects {
            made |= self.object(step).await?;
        }
        let progress = self.sweep.carry_out(&mut plan, leadership, stop).await?;
        self.told(&items, &plan)?;
        Ok(Passed::Left(if made { Progress::Made } else { progress }))
    }

    /// `false` where the object is another one meanwhile: it is looked at again.
    async fn object(&self, step: &ObjectStep) -> Result<bool, Failure> {
        let Some(client) = &self.client else { return Ok(false) };
        match step {
            ObjectStep::Delete(item) => {
                self.teller.tell(format!("Deleting {item}."))?;
                delete(client, item).await
            }
            ObjectStep::LetGo(item) => let_go(client, item).await,
        }
    }

    /// Credentials of another account show nothing of what is there, and nothing is gone by that.
    fn check_account(&self, items: &[Item]) -> Result<(), Failure> {
        let here = &self.sweep.scope().account;
        match items.iter().find(|item| item.account.as_ref().is_some_and(|account| account != here)) {
            None => Ok(()),
            Some(item) => Err(Failure::AnotherAccount {
                object: item.to_string(),
                recorded: item.account.as_ref().map(ToString::to_string).unwrap_or_default(),
                here: here.clone(),
            }),
        }
    }

    /// Two clusters may have been given one installation id.
    fn check_marks(&self, found: &SweepObservation) -> Result<(), Failure> {
        let marks = found.marks();
        let foreign = || {
            let ours = self.sweep.scope().owner.as_ref().map(ToString::to_string);
            marks.iter().filter(move |(mark, _)| Some(*mark) != ours.as_ref())
        };
        let named: Vec<String> = foreign()
            .map(|(mark, networks)| format!("{mark} on {}", listed(networks.iter().map(|network| &network.vpc))))
            .collect();
        match (&self.client, &self.order.owner) {
            (Some(_), None) if !named.is_empty() => Err(Failure::InstallationInUse {
                installation: self.order.installation.clone(),
                here: self.sweep.scope().owner.as_ref().map(ToString::to_string).unwrap_or_default(),
                marks: named.join(", "),
            }),
            (None, None) if !named.is_empty() => Err(Failure::OwnerUnnamed { marks: named.join(", ") }),
            _ => Ok(()),
        }
    }

    /// What would go, and what would stay.
    fn list(&self, items: &[Item], plan: &Plan) -> Result<(), Failure> {
        if self.client.is_some() {
            super::plan(items).into_iter().try_for_each(|line| self.teller.tell(line))?;
        }
        let resources = plan.resources();
        let account = &self.sweep.scope().account;
        self.teller
            .tell(format!("{} in AWS account {account} would be removed:", counted(resources.len(), "resource")))?;
        resources.into_iter().try_for_each(|what| self.teller.tell(format!("  {what}")))?;
        self.stays(plan)?;
        if plan.problems().next().is_some() {
            self.teller.tell("Before all is gone, somebody has to act:")?;
            plan.problems().try_for_each(|problem| self.teller.tell(format!("  {problem}")))?;
        }
        Ok(())
    }

    /// What stays: on purpose, or because it is somebody else's.
    fn stays(&self, plan: &Plan) -> Result<(), Failure> {
        for (heading, lines) in [
            ("In AWS these stay, because they are retained:", &plan.stays),
            ("In AWS these are not touched, because they are another cluster's or may be:", &plan.others),
        ] {
            if !lines.is_empty() {
                self.teller.tell(heading)?;
                lines.iter().try_for_each(|line| self.teller.tell(format!("  {line}")))?;
            }
        }
        Ok(())
    }

    /// What is left, and what each waits for, as far as it was not told before.
    fn told(&mut self, items: &[Item], plan: &Plan) -> Result<(), Failure> {
        if self.client.is_some() {
            self.once(&super::left(items))?;
        }
        for line in plan.units.iter().flat_map(|unit| &unit.waits).chain(plan.problems()) {
            self.once(&format!("  {line}"))?;
        }
        Ok(())
    }

    fn once(&mut self, line: &str) -> Result<(), Failure> {
        // Each attempt has a request id of its own.
        let (before, after) = without_request_id(line);
        if self.told.insert(format!("{before}{after}")) {
            self.teller.tell(line)?;
        }
        Ok(())
    }

    /// Nothing is left that is to go.
    fn over(&self, found: &SweepObservation, plan: &Plan) -> Result<(), Failure> {
        let Order { installation, .. } = self.order;
        if self.client.is_some() {
            self.teller.tell("No app and no network is left.")?;
        }
        self.stays(plan)?;
        for (region, state) in &found.regions {
            state.denied.iter().try_for_each(|what| {
                self.teller.tell(format!(
                    "{region}: the tags of {what} could not be read: it counts as another installation's."
                ))
            })?;
        }
        if !plan.others.is_empty() {
            return Err(Failure::Others { tag: TAG_OWNER });
        }
        let (tag, id) = installation.tag();
        let regions = listed(found.regions.keys());
        let but = if plan.stays.is_empty() { "" } else { " but what is retained" };
        self.teller.tell(format!("Nothing in AWS carries the tag {tag}={id}{but}. Looked at: {regions}."))?;
        Ok(())
    }
}

/// Whether the same request may be answered later: nobody answered, or the API server is too busy or unwell.
fn passes_in_kubernetes(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => status.code == 429 || status.code >= 500,
        _ => true,
    }
}

/// Deletes an object; one that is gone, or another one of its name, is left alone.
async fn delete(client: &Client, item: &Item) -> Result<bool, Failure> {
    let api = match item.kind {
        Kind::App => raw::<PrivateGenAIApp>(client, item.namespace.as_deref()),
        Kind::Network => raw::<PrivateGenAINetwork>(client, None),
    };
    // One that was held, retained or otherwise changed since it was looked at is looked at again.
    let same = Preconditions { uid: Some(item.uid.clone()), resource_version: item.version.clone() };
    match api.delete(&item.name, &DeleteParams::default().preconditions(same)).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Takes our finalizer off an object that is as it was looked at.
async fn let_go(client: &Client, item: &Item) -> Result<bool, Failure> {
    let meta = ObjectMeta {
        name: Some(item.name.clone()),
        namespace: item.namespace.clone(),
        uid: Some(item.uid.clone()),
        resource_version: item.version.clone(),
        finalizers: Some(item.finalizers.clone()),
        ..ObjectMeta::default()
    };
    let result = match (item.kind, &item.namespace) {
        (Kind::App, Some(namespace)) => {
            remove_finalizer(&Api::<PrivateGenAIApp>::namespaced(client.clone(), namespace), &meta).await
        }
        (Kind::App, None) => return Ok(false),
        (Kind::Network, _) => remove_finalizer(&Api::<PrivateGenAINetwork>::all(client.clone()), &meta).await,
    };
    match result {
        Ok(()) => Ok(true),
        Err(Error::Kubernetes(kube::Error::Api(status))) if status.is_conflict() => Ok(false),
        Err(Error::Kubernetes(error)) => Err(error.into()),
        Err(error) => Err(error.into()),
    }
}
