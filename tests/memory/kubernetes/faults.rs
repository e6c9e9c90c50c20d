//! Faults that a test asks for: which requests they hit, what happens to those, and when.

use std::time::Duration;

use super::journal::{Call, Verb};

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
    verb: Option<Verb>,
    writes_only: bool,
    /// `plural`, `plural/namespace` or `plural/namespace/name`.
    path: Option<String>,
    subresource: Option<&'static str>,
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

    fn new(effect: Effect) -> Fault {
        Fault { effect, after_the_work: false, times: 1, verb: None, writes_only: false, path: None, subresource: None }
    }

    /// The work is done and its answer lost, instead of the work not being done.
    pub fn after_the_work(self) -> Fault {
        Fault { after_the_work: true, ..self }
    }

    pub fn times(self, times: usize) -> Fault {
        Fault { times, ..self }
    }

    pub fn on(self, verb: Verb) -> Fault {
        Fault { verb: Some(verb), ..self }
    }

    pub fn on_writes(self) -> Fault {
        Fault { writes_only: true, ..self }
    }

    /// Only requests about `plural`, or `plural/namespace`, or `plural/namespace/name`.
    pub fn of(self, path: &str) -> Fault {
        Fault { path: Some(path.to_owned()), ..self }
    }

    pub fn on_status(self) -> Fault {
        Fault { subresource: Some("status"), ..self }
    }

    fn hits(&self, call: &Call) -> bool {
        let address = [call.plural, &call.namespace, &call.name];
        let address: Vec<&str> = address.into_iter().filter(|part| !part.is_empty()).collect();
        let within = |path: &String| path.split('/').enumerate().all(|(at, part)| address.get(at) == Some(&part));
        self.verb.is_none_or(|verb| verb == call.verb)
            && (!self.writes_only || call.verb.writes())
            && self.path.as_ref().is_none_or(within)
            && (self.subresource.is_none() || self.subresource == call.subresource)
    }
}

/// What is to happen to one request.
#[derive(Clone, Copy, Debug)]
pub struct Strike {
    pub effect: Effect,
    pub after_the_work: bool,
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
        fault.times -= 1;
        let strike = Strike { effect: fault.effect, after_the_work: fault.after_the_work };
        self.0.retain(|fault| fault.times > 0);
        Some(strike)
    }
}
