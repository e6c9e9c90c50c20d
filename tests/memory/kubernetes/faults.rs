//! Faults that a test asks for: which requests they hit, what happens to those, and when.

use std::time::Duration;

use super::{
    journal::{Call, Verb},
    kinds::{APPS, NETWORKS},
};

/// Hits the next request that fits, once unless [`Fault::times`] says otherwise.
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
    /// So many requests that fit are let through first.
    skips: usize,
    /// Virtual time that passes before the effect.
    late_by: Duration,
    verb: Option<Verb>,
    writes_only: bool,
    /// Only the operator's own two kinds.
    objects_only: bool,
    /// `plural`, `plural/namespace` or `plural/namespace/name`.
    path: Option<String>,
    part: PartFilter,
}

/// Requests about which part of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PartFilter {
    Any,
    /// This subresource; `None` is the object itself.
    Only(Option<&'static str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// An error with this code. To a watch, 410 is said as the real server says it: by an event in the stream.
    Answer(u16),
    /// The connection is reset.
    Disconnect,
    /// No answer ever comes: the place at which a test stops the operator.
    Hang,
    /// Virtual time passes first; nothing else is wrong.
    Delay(Duration),
    /// The request is on its way for so long, and arrives also when its client does not wait for it any more: the
    /// process was frozen, or its network held a packet back.
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

    /// The request arrives so late, whoever still waits for it.
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

    /// The work is done and its answer lost, instead of the work not being done.
    pub fn after_the_work(self) -> Fault {
        Fault { after_the_work: true, ..self }
    }

    pub fn times(self, times: usize) -> Fault {
        Fault { times, ..self }
    }

    /// Lets so many requests through first.
    pub fn skipping(self, skips: usize) -> Fault {
        Fault { skips, ..self }
    }

    /// So much virtual time passes before the effect: a server that times out says so after a minute.
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

/// What is to happen to one request.
#[derive(Clone, Copy, Debug)]
pub struct Strike {
    pub effect: Effect,
    pub after_the_work: bool,
    pub late_by: Duration,
}

/// The faults not spent yet, in the order in which they were asked for.
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

    /// Spends the first fault that fits the call.
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
