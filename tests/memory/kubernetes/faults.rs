//! Faults for tests: the requests that they hit, their effect, and their time.

use std::time::Duration;

use super::{
    journal::{Call, Verb},
    kinds::{APPS, NETWORKS},
};

/// Hits the next matching request, once unless [`Fault::times`] sets another number.
///
/// ```ignore
/// let app = "privategenaiapps/team-a/support-bot";
/// server.inject(Fault::answer(504).on(Verb::Patch).of(app).on_status().after_the_work());
/// ```
#[derive(Clone, Debug)]
pub struct Fault {
    effect: Effect,
    after_the_work: bool,
    times: usize,
    /// The number of matching requests that pass first.
    skips: usize,
    /// The virtual time before the effect.
    late_by: Duration,
    verb: Option<Verb>,
    writes_only: bool,
    /// Only the operator's own two kinds.
    objects_only: bool,
    /// `plural`, `plural/namespace` or `plural/namespace/name`.
    path: Option<String>,
    part: PartFilter,
}

/// The part of an object that the requests are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PartFilter {
    Any,
    /// This subresource; `None` is the object itself.
    Only(Option<&'static str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// An error with this code. A watch gets 410 like from the real server: by an event in the stream.
    Answer(u16),
    /// The connection is reset.
    Disconnect,
    /// No answer ever comes: there a test stops the operator.
    Hang,
    /// Virtual time passes first, and the request succeeds.
    Delay(Duration),
    /// The request is under way for this time, and arrives even if its client does not wait for it any more: the process was
    /// frozen, or the network held a packet back.
    Arrive(Duration),
}

impl Fault {
    pub fn answer(code: u16) -> Fault {
        Fault::new(Effect::Answer(code))
    }

    pub fn disconnect() -> Fault {
        Fault::new(Effect::Disconnect)
    }

    pub fn hang() -> Fault {
        Fault::new(Effect::Hang)
    }

    pub fn delay(by: Duration) -> Fault {
        Fault::new(Effect::Delay(by))
    }

    /// The request arrives late, whether or not its client still waits.
    pub fn arrive_late(by: Duration) -> Fault {
        Fault::new(Effect::Arrive(by))
    }

    fn new(effect: Effect) -> Fault {
        Fault {
            effect,
            after_the_work: false,
            times: 1,
            skips: 0,
            late_by: Duration::ZERO,
            verb: None,
            writes_only: false,
            objects_only: false,
            path: None,
            part: PartFilter::Any,
        }
    }

    /// The work is done and its answer is lost. Without this, the work is not done.
    pub fn after_the_work(self) -> Fault {
        Fault { after_the_work: true, ..self }
    }

    pub fn times(self, times: usize) -> Fault {
        Fault { times, ..self }
    }

    /// Lets this number of requests pass first.
    pub fn skipping(self, skips: usize) -> Fault {
        Fault { skips, ..self }
    }

    /// Virtual time passes before the effect: a server that times out answers after a minute.
    pub fn late_by(self, late_by: Duration) -> Fault {
        Fault { late_by, ..self }
    }

    pub fn on(self, verb: Verb) -> Fault {
        Fault { verb: Some(verb), ..self }
    }

    pub fn on_writes(self) -> Fault {
        Fault { writes_only: true, ..self }
    }

    /// Only apps and networks, with their statuses: neither Events nor Leases.
    pub fn on_objects(self) -> Fault {
        Fault { objects_only: true, ..self }
    }

    /// Only requests about `plural`, or `plural/namespace`, or `plural/namespace/name`.
    pub fn of(self, path: &str) -> Fault {
        Fault { path: Some(path.to_owned()), ..self }
    }

    pub fn on_status(self) -> Fault {
        Fault { part: PartFilter::Only(Some("status")), ..self }
    }

    /// Only requests about this subresource; `None` for the object itself.
    pub fn on_part(self, subresource: Option<&'static str>) -> Fault {
        Fault { part: PartFilter::Only(subresource), ..self }
    }

    fn hits(&self, call: &Call) -> bool {
        let address = [call.plural, &call.namespace, &call.name];
        let address: Vec<&str> = address.into_iter().filter(|part| !part.is_empty()).collect();
        let within = |path: &String| path.split('/').enumerate().all(|(at, part)| address.get(at) == Some(&part));
        self.verb.is_none_or(|verb| verb == call.verb)
            && (!self.writes_only || call.verb.writes())
            && self.path.as_ref().is_none_or(within)
            && (!self.objects_only || [APPS, NETWORKS].contains(&call.plural))
            && [PartFilter::Any, PartFilter::Only(call.subresource)].contains(&self.part)
    }
}

/// The fault of one request.
#[derive(Clone, Copy, Debug)]
pub struct Strike {
    pub effect: Effect,
    pub after_the_work: bool,
    pub late_by: Duration,
}

/// The remaining faults, in the order of injection.
#[derive(Debug, Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    pub fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub fn left(&self) -> usize {
        self.0.iter().fold(0, |left, fault| left.saturating_add(fault.times))
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Uses the first fault that matches the call.
    pub fn strike(&mut self, call: &Call) -> Option<Strike> {
        let fault = self.0.iter_mut().find(|fault| fault.times > 0 && fault.hits(call))?;
        if fault.skips > 0 {
            fault.skips -= 1;
            return None;
        }
        if fault.times != usize::MAX {
            fault.times -= 1;
        }
        let Fault { effect, after_the_work, late_by, .. } = *fault;
        let strike = Strike { effect, after_the_work, late_by };
        self.0.retain(|fault| fault.times > 0);
        Some(strike)
    }
}
