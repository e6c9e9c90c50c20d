//! The handle that tests and the operator hold: the world behind a lock, with a clock, a journal and faults.

use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use private_genai_operator::{
    aws::{AccountId, AwsError, Region, SubnetId, VpcId, Write, Written, pacing::Pacer},
    identity::InstallationId,
};
use tokio::{task::yield_now, time::Instant};

use super::{
    calls::{CallRecord, Fault},
    reads,
    setup::{Route, VpcShape},
    step::{Action, Outcome, step},
    world::{Delays, RegionState, World},
};

/// A handle on one AWS account; clones are handles on the same account.
#[derive(Clone)]
pub struct MemoryAws {
    started: Instant,
    pub(super) pacer: Option<Arc<Pacer>>,
    witness: Arc<Mutex<Option<Witness>>>,
    inside: Arc<Mutex<Inside>>,
    /// Who calls, for the journal.
    by: &'static str,
    /// Calls take their time, which follows from this.
    dawdles: Option<u64>,
    /// The coming late write, shared by all clones.
    lateness: Arc<Mutex<Option<Lateness>>>,
    /// The regions for which this process has clients, as the SDK makes one for each region at its first call.
    clients: Arc<Mutex<BTreeSet<Region>>>,
}

/// A late write: it takes so long that its writer may be gone when the write or its answer comes, as when the process is frozen
/// in the middle of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lateness {
    /// The number of writes before the late one.
    pub skips: usize,
    pub by: Duration,
    /// The work is done in time, and its answer is late.
    pub after_the_work: bool,
}

/// Observes each write of the operator that AWS carried out: the account before, the write, AWS's answer, and the account after.
pub type Witness = Box<dyn FnMut(&World, &Write, &Written, &World) + Send>;

struct Inside {
    /// Shared between copies of the same world, until one of them changes.
    world: Arc<World>,
    /// Seconds that a test let pass by itself, on top of tokio's.
    skipped: u64,
    journal: Vec<CallRecord>,
    faults: Vec<(String, Fault)>,
    /// The operations (`lambda:UpdateFunctionConfiguration`) that are answered as if they were done, and are not.
    in_vain: BTreeSet<String>,
    /// The number of errors so far: each error has its own request id.
    errors: u64,
}

/// A call under its name in the journal.
pub(super) struct Call<'a> {
    pub service: &'static str,
    pub operation: &'static str,
    pub write: bool,
    pub region: &'a Region,
    pub resource: String,
}

impl MemoryAws {
    /// An account in which nothing exists.
    pub fn new(account: &AccountId, delays: Delays) -> Self {
        Self::of(World::new(account.clone(), delays))
    }

    /// An account that goes on from a world.
    pub fn of(world: impl Into<Arc<World>>) -> Self {
        let world = world.into();
        let skipped = world.now;
        let (journal, faults, in_vain) = (Vec::new(), Vec::new(), BTreeSet::new());
        let inside = Inside { world, skipped, journal, faults, in_vain, errors: 0 };
        let (started, inside) = (Instant::now(), Arc::new(Mutex::new(inside)));
        Self {
            started,
            pacer: None,
            witness: Arc::default(),
            inside,
            by: "",
            dawdles: None,
            lateness: Arc::default(),
            clients: Arc::default(),
        }
    }

    /// Makes one coming write of this replica late. The write takes effect even if its writer is gone.
    pub fn be_late(&self, lateness: Lateness) {
        *self.lateness.lock().unwrap_or_else(PoisonError::into_inner) = Some(lateness);
    }

    /// The late write has begun.
    pub fn is_late(&self) -> bool {
        self.lateness.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// The lateness of the write that begins now.
    pub(super) fn take_lateness(&self) -> Option<Lateness> {
        let mut lateness = self.lateness.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = lateness.as_mut()?;
        if waiting.skips > 0 {
            waiting.skips -= 1;
            return None;
        }
        lateness.take()
    }

    /// A handle of this account behind the operator's own pacer, which delays each call and each page.
    pub fn paced(self) -> Self {
        Self { pacer: Some(Arc::default()), ..self }
    }

    /// A handle of this account behind this pacer.
    pub fn paced_by(self, pacer: Arc<Pacer>) -> Self {
        Self { pacer: Some(pacer), ..self }
    }

    /// A handle whose calls the journal knows as this replica's.
    pub fn seen_by(&self, by: &'static str) -> Self {
        Self { by, lateness: Arc::default(), clients: Arc::default(), ..self.clone() }
    }

    /// A handle whose calls take up to 100 ms before their effect and up to 100 ms after it. The seed decides these times, so
    /// each seed interleaves the calls with others differently.
    pub fn dawdling(&self, seed: u64) -> Self {
        Self { dawdles: Some(seed), ..self.clone() }
    }

    /// The regions for which this process has clients.
    pub fn clients(&self) -> MutexGuard<'_, BTreeSet<Region>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Others have their turn.
    async fn pause(&self, when: &str) {
        let Some(seed) = self.dawdles else {
            return yield_now().await;
        };
        let mut hasher = DefaultHasher::new();
        (seed, self.by, self.calls(), when).hash(&mut hasher);
        tokio::time::sleep(Duration::from_millis(hasher.finish() % 100)).await;
    }

    /// Sets up a VPC with its subnets.
    pub fn add_vpc(&self, region: &Region, shape: &VpcShape) -> (VpcId, Vec<SubnetId>) {
        self.lock().world_mut().add_vpc(region, shape)
    }

    /// Somebody adds an isolated subnet to a VPC.
    pub fn add_subnet(&self, region: &Region, vpc: &VpcId, zone: char) -> SubnetId {
        self.lock().world_mut().add_subnet(region, vpc, zone, Route::Isolated)
    }

    /// Somebody other than the operator does something, or time passes. Not in the journal, and without faults.
    ///
    /// # Errors
    /// Carries out an action; returns AWS's answer.
    pub fn act(&self, action: &Action) -> Outcome {
        let mut inside = self.lock();
        if let Action::Advance { seconds } = action {
            inside.skipped = inside.skipped.saturating_add(*seconds);
        }
        step(inside.world_mut(), action)
    }

    /// The current account.
    pub fn world(&self) -> World {
        World::clone(&self.lock().world)
    }

    /// Looks at the current account, without a copy.
    #[allow(dead_code, reason = "only what serves this AWS over HTTP looks so")]
    pub fn look<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        look(&self.lock().world)
    }

    /// Changes the current account otherwise than by an action.
    #[allow(dead_code, reason = "only what serves this AWS over HTTP changes it so")]
    pub fn alter<T>(&self, alter: impl FnOnce(&mut World) -> T) -> T {
        alter(self.lock().world_mut())
    }

    /// All remaining resources of an installation; empty when none is left.
    pub fn leftovers(&self, installation: &InstallationId) -> Vec<String> {
        reads::leftovers(&self.lock().world, installation)
    }

    /// All calls so far.
    pub fn journal(&self) -> Vec<CallRecord> {
        self.lock().journal.clone()
    }

    /// The number of calls since the journal was last taken.
    pub fn calls(&self) -> usize {
        self.lock().journal.len()
    }

    /// All calls since this was last asked.
    pub fn take_journal(&self) -> Vec<CallRecord> {
        std::mem::take(&mut self.lock().journal)
    }

    /// Makes the next calls of an operation (`CreateVpcEndpoint`, or `logs:TagResource`; `*` is any) fail. Faults of the same operation come
    /// one after the other, in the order in which they were asked for.
    pub fn fail_next(&self, operation: &str, fault: Fault) {
        self.lock().faults.push((operation.to_owned(), fault));
    }

    /// From now on AWS takes this call (`lambda:UpdateFunctionConfiguration`), and changes nothing.
    pub fn take_in_vain(&self, call: &str) {
        self.lock().in_vain.insert(call.to_owned());
    }

    pub(super) fn takes_in_vain(&self, (service, operation): (&str, &str)) -> bool {
        self.lock().in_vain.contains(&format!("{service}:{operation}"))
    }

    /// Ends all failures on demand.
    pub fn clear_faults(&self) {
        let mut inside = self.lock();
        inside.faults.clear();
        inside.in_vain.clear();
    }

    /// The account, with everything done that was due by now.
    fn lock(&self) -> MutexGuard<'_, Inside> {
        // A test that panicked elsewhere has its own message; the world is whole after each step.
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.started.elapsed().as_secs().saturating_add(inside.skipped);
        let seconds = now.saturating_sub(inside.world.now);
        if seconds > 0 {
            step(inside.world_mut(), &Action::Advance { seconds }).expect("time always passes");
        }
        inside
    }

    /// Changes the account that the credentials belong to; its resources stay.
    pub fn become_account(&self, account: &AccountId) {
        self.lock().world_mut().account = account.clone();
    }

    /// Adds a witness of each write, including writes whose answers are lost.
    pub fn watched_by(&self, witness: Witness) {
        *self.witness.lock().unwrap_or_else(PoisonError::into_inner) = Some(witness);
    }

    /// Carries out a write of the operator, before the eyes of the witness.
    pub(super) fn carry_out(&self, world: &mut World, region: &Region, write: &Write) -> Outcome {
        let action = Action::Write(region.clone(), write.clone());
        let mut witness = self.witness.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(witness) = witness.as_mut() else { return step(world, &action) };
        let before = world.clone();
        let written = step(world, &action)?;
        witness(&before, write, &written, world);
        Ok(written)
    }

    /// Makes one call. It can be dropped before the work and between the work and the answer, as a process can be
    /// killed there; other tasks run at both points.
    pub(super) async fn call<T>(
        &self,
        call: Call<'_>,
        work: impl FnOnce(&mut Arc<World>) -> Result<(T, usize), AwsError> + Send,
    ) -> Result<T, AwsError> {
        self.clients().insert(call.region.clone());
        self.pause("before").await;
        let (region, service, operation) = (call.region, call.service, call.operation);
        if let Some(pacer) = &self.pacer {
            pacer.turn(region, service, operation).await?;
        }
        let (answer, pages) = {
            let mut inside = self.lock();
            let fault = inside.take_fault(&call);
            let failed = fault.as_ref().map(|fault| fault.error(call.service, call.operation));
            let answer = match (fault, failed) {
                (Some(fault), Some(error)) if !fault.after => Err(error),
                (_, failed) => work(&mut inside.world).and_then(|done| failed.map_or(Ok(done), Err)),
            };
            inside.record(self.by, call, answer)
        };
        self.pause("after").await;
        if let Some(pacer) = &self.pacer {
            pacer.ended(region, service, operation, answer.as_ref().err().map(|error| error.failure));
            for _ in 1..pages {
                pacer.turn(region, service, operation).await?;
            }
        }
        answer
    }

    /// A read that takes `pages` calls.
    pub(super) async fn read<T>(
        &self,
        (service, operation): (&'static str, &'static str),
        region: &Region,
        resource: String,
        look: impl FnOnce(&World, &RegionState) -> (T, usize) + Send,
    ) -> Result<T, AwsError> {
        let call = Call { service, operation, write: false, region, resource };
        self.call(call, |world| {
            if !world.regions.contains_key(region) {
                Arc::make_mut(world).region_mut(region);
            }
            Ok(look(world, &world.regions[region]))
        })
        .await
    }
}

impl Inside {
    fn world_mut(&mut self) -> &mut World {
        Arc::make_mut(&mut self.world)
    }

    fn take_fault(&mut self, call: &Call<'_>) -> Option<Fault> {
        let position = self.faults.iter().position(|(operation, fault)| {
            let name =
                operation.strip_prefix(call.service).and_then(|rest| rest.strip_prefix(':')).unwrap_or(operation);
            (name == "*" || name == call.operation)
                && fault.resource.as_ref().is_none_or(|resource| *resource == call.resource)
        })?;
        let (_, fault) = &mut self.faults[position];
        if fault.times != u32::MAX {
            fault.times = fault.times.saturating_sub(1);
        }
        let taken = fault.clone();
        if taken.times == 0 {
            self.faults.remove(position);
        }
        Some(taken)
    }

    fn record<T>(
        &mut self,
        by: &'static str,
        call: Call<'_>,
        answer: Result<(T, usize), AwsError>,
    ) -> (Result<T, AwsError>, usize) {
        let Call { service, operation, write, region, resource } = call;
        let (answer, pages) = match answer {
            Ok((value, pages)) => (Ok(value), pages),
            Err(error) => {
                self.errors += 1;
                let request_id = error.code.is_some().then(|| format!("request-{}", self.errors));
                (Err(AwsError { request_id, ..error }), 1)
            }
        };
        let no_code = || "NoAnswer".to_owned();
        let error_code = answer.as_ref().err().map(|error| error.code.clone().unwrap_or_else(no_code));
        let record = CallRecord { by, service, operation, write, region: region.clone(), resource, error_code };
        self.journal.extend(std::iter::repeat_n(record, pages));
        (answer, pages)
    }
}
