//! Removes all resources of the installation in AWS, and the objects of both kinds, if there is a cluster.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use kube::{
    Client,
    api::{DeleteParams, Preconditions},
    core::ObjectMeta,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Failure, Kind, ObjectFacts, counted,
    lease::{LeaseWait, Print, holding_the_lease},
    list_objects, of_this_installation,
    sweep::{
        Consent, Progress, SETTLED_AFTER, Sweep, TeardownRequest, is_transient,
        observation::SweepObservation,
        plan::{ObjectStep, Plan},
    },
};
use crate::{
    api::{PrivateGenAIApp, PrivateGenAINetwork, RecordedOwner, condition::Message},
    aws::Aws,
    engine::{Error, raw, remove_finalizer},
    identity::{OwnerMark, TAG_OWNER},
    leadership::{Election, Leadership},
    plan::listed,
};

/// The first and the longest pause between two passes.
const PAUSES: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(15));

/// The cluster whose objects are removed too.
pub struct Cluster {
    /// The Kubernetes API.
    pub client: Client,
    /// The owner mark of the cluster.
    pub owner: OwnerMark,
    /// The election for the Lease, which keeps an operator from acting meanwhile.
    pub election: Election,
    /// How the command waits for the Lease.
    pub wait: LeaseWait,
}

/// Removes all resources of an installation in AWS that are not retained, and its objects.
///
/// # Guarantees
/// No resource is created. Nothing is removed when objects or marks belong to another cluster or installation.
///
/// # Assumptions
/// Without `cluster`, the caller has made sure that no operator runs.
///
/// # Errors
/// The reason why something is left.
pub async fn teardown(
    cluster: Option<Cluster>,
    aws: Arc<dyn Aws>,
    request: TeardownRequest,
    stop: CancellationToken,
    print: Print<'_>,
) -> Result<(), Failure> {
    let owner = match (&cluster, &request.owner) {
        (Some(cluster), Some(named)) if *named != cluster.owner => {
            return Err(Failure::NotThisCluster { named: named.clone(), here: cluster.owner.clone() });
        }
        (Some(cluster), _) => Some(cluster.owner.clone()),
        (None, named) => named.clone(),
    };
    let client = cluster.as_ref().map(|cluster| &cluster.client);
    // The installation ids are compared before the first call to AWS.
    let objects = objects_of(client, &request).await?;
    let sweep = Sweep::new(aws, &request, owner).await.map_err(Failure::Look)?;
    let mut teardown = Teardown { client: client.cloned(), request: &request, sweep, printed: BTreeSet::new(), print };
    teardown.check_account(&objects)?;
    let (found, plan) = teardown.observe(&objects, &stop).await?;
    let nothing = objects.is_empty() && plan.units.is_empty();
    if request.consent == Consent::Missing && !nothing {
        teardown.list(&objects, &plan)?;
    }
    teardown.check_marks(&found)?;
    // Objects without a recorded installation do not exclude a typing error. Resources of other installations in AWS suggest one.
    let says_nothing = |object: &ObjectFacts| object.recorded == RecordedOwner::Nobody;
    if !objects.is_empty() && objects.iter().all(says_nothing) && plan.units.is_empty() && found.roles.is_empty() {
        let others = teardown.sweep.other_installations().await.map_err(Failure::Look)?;
        if !others.is_empty() {
            return Err(Failure::NothingOfThis { installation: request.installation.clone(), others: listed(others) });
        }
    }
    if nothing {
        teardown.summarize(&found, &plan)?;
        return teardown.hint(&found).await;
    }
    if request.consent == Consent::Missing {
        return Err(Failure::NotConfirmed);
    }
    let Some(Cluster { client, election, wait, .. }) = &cluster else {
        return teardown.finish(&Leadership::always(), &stop).await;
    };
    let work = async |leadership: Leadership| {
        teardown.client = Some(leadership.fence(client));
        teardown.finish(&leadership, &stop).await
    };
    holding_the_lease(client, election, *wait, &stop, print, work).await
}

/// The objects of the cluster, all of the named installation.
async fn objects_of(client: Option<&Client>, request: &TeardownRequest) -> Result<Vec<ObjectFacts>, Failure> {
    let Some(client) = client else { return Ok(Vec::new()) };
    let objects = list_objects(client, Some(&request.home), &request.installation).await?;
    of_this_installation(&objects, &request.installation)?;
    Ok(objects)
}

/// The result of one pass.
enum PassResult {
    /// Nothing is left to remove.
    Done(Box<(SweepObservation, Plan)>),
    /// Something is left.
    Left(Progress),
}

/// A teardown under way.
struct Teardown<'a> {
    client: Option<Client>,
    request: &'a TeardownRequest,
    sweep: Sweep,
    /// The printed lines, without request ids.
    printed: BTreeSet<String>,
    print: Print<'a>,
}

impl Teardown<'_> {
    /// Makes passes until nothing is left, for an hour or longer. The removal goes on when the API server or AWS is busy or out
    /// of reach for a while.
    async fn finish(&mut self, leadership: &Leadership, stop: &CancellationToken) -> Result<(), Failure> {
        self.sweep.begin();
        let (mut idle, mut stuck) = (0_u32, None);
        loop {
            let passed = match self.pass(leadership, stop).await {
                Ok(PassResult::Done(last)) if self.sweep.is_settled() => return self.summarize(&last.0, &last.1),
                Ok(PassResult::Done(_)) => {
                    let text = "Nothing more shows in AWS. A resource that was created a moment ago may show within a minute: AWS \
                                is read again.";
                    self.print_once(&text.into())?;
                    Progress::Awaited
                }
                Ok(PassResult::Left(progress)) => progress,
                Err(Failure::Kubernetes(error)) if is_transient_in_kubernetes(&error) => {
                    tracing::warn!(%error, "the Kubernetes API does not serve now: the next pass tries again");
                    Progress::Awaited
                }
                Err(Failure::Look(error)) if is_transient(&error) => {
                    let text =
                        format!("AWS could not be read: {}. The next pass tries again.", error.without_request_id());
                    self.print_once(&Message::of_call(text, &error))?;
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
            let (first, longest) = PAUSES;
            let pause = first.saturating_mul(2_u32.saturating_pow(idle.saturating_sub(1))).min(longest);
            if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return Err(Failure::Interrupted);
            }
        }
    }

    /// Reads AWS. For an installation with a thousand apps that takes minutes, and can be interrupted at any point.
    async fn observe(
        &mut self,
        objects: &[ObjectFacts],
        stop: &CancellationToken,
    ) -> Result<(SweepObservation, Plan), Failure> {
        let looked = stop.run_until_cancelled(self.sweep.observe(objects)).await;
        looked.ok_or(Failure::Interrupted)?.map_err(Failure::Look)
    }

    /// Names other installations if this one has no resources: the id may have a typing error.
    async fn hint(&self, found: &SweepObservation) -> Result<(), Failure> {
        if !found.roles.is_empty() {
            return Ok(());
        }
        let others = self.sweep.other_installations().await.map_err(Failure::Look)?;
        if !others.is_empty() {
            (self.print)(&format!("Other installations have roles in this account: {}.", listed(others)))?;
        }
        Ok(())
    }

    /// Observes, and makes the writes that can be made now.
    async fn pass(&mut self, leadership: &Leadership, stop: &CancellationToken) -> Result<PassResult, Failure> {
        if stop.is_cancelled() {
            return Err(Failure::Interrupted);
        }
        let objects = objects_of(self.client.as_ref(), self.request).await?;
        self.check_account(&objects)?;
        let (found, mut plan) = self.observe(&objects, stop).await?;
        self.check_marks(&found)?;
        if objects.is_empty() && plan.units.is_empty() {
            return Ok(PassResult::Done(Box::new((found, plan))));
        }
        let mut made = false;
        for step in &plan.objects {
            made |= self.object(step).await?;
        }
        let progress = self.sweep.carry_out(&mut plan, leadership, stop).await?;
        self.report(&objects, &plan)?;
        Ok(PassResult::Left(if made { Progress::Made } else { progress }))
    }

    /// `false` where the object changed meanwhile: the next pass lists the object again.
    async fn object(&self, step: &ObjectStep) -> Result<bool, Failure> {
        let Some(client) = &self.client else { return Ok(false) };
        match step {
            ObjectStep::Delete(object) => {
                (self.print)(&format!("Deleting {object}."))?;
                delete(client, object).await
            }
            ObjectStep::Release(object) => release(client, object).await,
        }
    }

    /// Refuses credentials of another account, which would show none of the resources.
    fn check_account(&self, objects: &[ObjectFacts]) -> Result<(), Failure> {
        let here = &self.sweep.scope().account;
        match objects.iter().find(|object| object.account.as_ref().is_some_and(|account| account != here)) {
            None => Ok(()),
            Some(object) => Err(Failure::AnotherAccount {
                object: object.to_string(),
                recorded: object.account.as_ref().map(ToString::to_string).unwrap_or_default(),
                here: here.clone(),
            }),
        }
    }

    /// Refuses the marks of another cluster: two clusters may have one installation id.
    fn check_marks(&self, found: &SweepObservation) -> Result<(), Failure> {
        let marks = found.marks();
        let foreign = || {
            let ours = self.sweep.scope().owner.as_ref().map(ToString::to_string);
            marks.iter().filter(move |(mark, _)| Some(*mark) != ours.as_ref())
        };
        let named: Vec<String> = foreign()
            .map(|(mark, networks)| format!("{mark} on {}", listed(networks.iter().map(|network| &network.vpc))))
            .collect();
        match (&self.client, &self.request.owner) {
            (Some(_), None) if !named.is_empty() => Err(Failure::InstallationInUse {
                installation: self.request.installation.clone(),
                here: self.sweep.scope().owner.as_ref().map(ToString::to_string).unwrap_or_default(),
                marks: named.join(", "),
            }),
            (None, None) if !named.is_empty() => Err(Failure::OwnerUnnamed { marks: named.join(", ") }),
            _ => Ok(()),
        }
    }

    /// Prints the resources that would be removed, and those that would stay.
    fn list(&self, objects: &[ObjectFacts], plan: &Plan) -> Result<(), Failure> {
        if self.client.is_some() {
            super::plan(objects).into_iter().try_for_each(|line| (self.print)(&line))?;
        }
        let resources = plan.resources();
        let account = &self.sweep.scope().account;
        (self.print)(&format!("{} in AWS account {account} would be removed:", counted(resources.len(), "resource")))?;
        resources.into_iter().try_for_each(|what| (self.print)(&format!("  {what}")))?;
        self.list_kept(plan)?;
        if plan.problems().next().is_some() {
            (self.print)("A person has to solve these problems first:")?;
            plan.problems().try_for_each(|problem| (self.print)(&format!("  {problem}")))?;
        }
        Ok(())
    }

    /// Prints the resources that stay: retained ones, and those of other clusters.
    fn list_kept(&self, plan: &Plan) -> Result<(), Failure> {
        for (heading, lines) in [
            ("These resources in AWS stay, because they are retained:", &plan.retained),
            (
                "These resources in AWS are not touched, because another cluster owns them or may own them:",
                &plan.foreign,
            ),
        ] {
            if !lines.is_empty() {
                (self.print)(heading)?;
                lines.iter().try_for_each(|line| (self.print)(&format!("  {line}")))?;
            }
        }
        Ok(())
    }

    /// Prints the objects that are left, the waits and the problems.
    fn report(&mut self, objects: &[ObjectFacts], plan: &Plan) -> Result<(), Failure> {
        if self.client.is_some() {
            self.print_once(&super::left(objects).into())?;
        }
        for line in plan.units.iter().flat_map(|unit| &unit.waits).chain(plan.problems()) {
            self.print_once(&Message { text: format!("  {}", line.text), ..line.clone() })?;
        }
        Ok(())
    }

    /// Prints a line that was not printed before, apart from its request id.
    fn print_once(&mut self, line: &Message) -> Result<(), Failure> {
        if self.printed.insert(line.text.clone()) {
            (self.print)(&line.to_string())?;
        }
        Ok(())
    }

    /// Prints the end: nothing is left to remove.
    fn summarize(&self, found: &SweepObservation, plan: &Plan) -> Result<(), Failure> {
        let TeardownRequest { installation, .. } = self.request;
        if self.client.is_some() {
            (self.print)("No app and no network is left.")?;
        }
        self.list_kept(plan)?;
        for (region, state) in &found.regions {
            state.denied.iter().try_for_each(|what| {
                (self.print)(&format!(
                    "{region}: the tags of {what} could not be read: the teardown counts it as another installation's."
                ))
            })?;
        }
        if !plan.foreign.is_empty() {
            return Err(Failure::Others { tag: TAG_OWNER });
        }
        let (tag, id) = installation.tag();
        let regions = listed(found.regions.keys());
        let but = if plan.retained.is_empty() { "" } else { " apart from retained resources" };
        (self.print)(&format!("Nothing in AWS carries the tag {tag}={id}{but}. Regions that were read: {regions}."))?;
        Ok(())
    }
}

/// Whether the same request may succeed later: no answer came, or the API server is busy or unwell.
fn is_transient_in_kubernetes(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => status.code == 429 || status.code >= 500,
        _ => true,
    }
}

/// Deletes an object. An object that is gone, or a new object of the same name, is left alone.
async fn delete(client: &Client, object: &ObjectFacts) -> Result<bool, Failure> {
    let api = match object.kind {
        Kind::App => raw::<PrivateGenAIApp>(client, object.namespace.as_deref()),
        Kind::Network => raw::<PrivateGenAINetwork>(client, None),
    };
    // An object that changed since the list is listed again.
    let same = Preconditions { uid: Some(object.uid.clone()), resource_version: object.version.clone() };
    match api.delete(&object.name, &DeleteParams::default().preconditions(same)).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Releases an object that did not change since the list.
async fn release(client: &Client, object: &ObjectFacts) -> Result<bool, Failure> {
    let meta = ObjectMeta {
        name: Some(object.name.clone()),
        namespace: object.namespace.clone(),
        uid: Some(object.uid.clone()),
        resource_version: object.version.clone(),
        finalizers: Some(object.finalizers.clone()),
        ..ObjectMeta::default()
    };
    let result = match (object.kind, &object.namespace) {
        (Kind::App, Some(_)) => remove_finalizer::<PrivateGenAIApp>(client, &meta).await,
        (Kind::App, None) => return Ok(false),
        (Kind::Network, _) => remove_finalizer::<PrivateGenAINetwork>(client, &meta).await,
    };
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.is_conflict() => Ok(false),
        // A transient failure is retried, like that of every other call.
        Err(Error::Finalizers { cause, .. }) => Err(cause.into()),
        Err(error) => Err(error.into()),
    }
}
