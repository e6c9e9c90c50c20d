//! What the operator remembers between passes: plain data, with the time as a member, so that whoever decides by it is
//! pure. Losing it costs calls, never correctness.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    api::network::NetworkKey,
    aws::NetworkInterfaceId,
    network::{AvailableSince, EndpointHistory, Interfaces},
};

/// After so long AWS shows what it created, everywhere.
const VISIBLE_WITHIN: Duration = Duration::from_mins(1);

/// How often a resource that fails again and again is deleted and created again.
const REPLACE_EVERY: Duration = Duration::from_mins(5);

/// What is remembered. Every time in it is on the clock of `now`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Memory {
    /// The time, on a clock that only goes forward.
    pub now: Duration,
    /// What earlier answers told about each network.
    pub hints: BTreeMap<NetworkKey, EndpointHistory>,
    /// Since when interfaces were seen `available`.
    pub available: BTreeMap<NetworkKey, AvailableSince>,
    /// What was created and not seen since, and when.
    pub unseen: BTreeMap<String, Duration>,
    /// What was replaced, and when.
    pub replaced: BTreeMap<String, Duration>,
    /// When each client token was refused first, and last.
    pub refused_tokens: BTreeMap<String, (Duration, Duration)>,
}

impl Memory {
    fn since(&self, at: Duration) -> Duration {
        self.now.saturating_sub(at)
    }

    /// What earlier answers told about a network.
    pub fn hints(&self, network: &NetworkKey) -> EndpointHistory {
        self.hints.get(network).cloned().unwrap_or_default()
    }

    /// Remembers something about a network.
    pub fn learn(&mut self, network: &NetworkKey, lesson: impl FnOnce(&mut EndpointHistory)) {
        lesson(self.hints.entry(network.clone()).or_default());
    }

    /// Takes note of the interfaces of a network that are `available`; gives those that were so for long.
    pub fn long_available(&mut self, network: &NetworkKey, interfaces: &Interfaces) -> BTreeSet<NetworkInterfaceId> {
        self.available.entry(network.clone()).or_default().observe(interfaces, self.now)
    }

    /// Forgets what was remembered about a network that is gone. One that is built there again has other groups, and other
    /// client tokens.
    pub fn forget(&mut self, network: &NetworkKey) {
        self.available.remove(network);
        self.hints.remove(network);
    }

    /// Remembers a resource that was created, until it is seen.
    pub fn created(&mut self, resource: &str) {
        self.unseen.insert(resource.to_owned(), self.now);
    }

    /// A resource that was created is seen.
    pub fn seen(&mut self, resource: &str) {
        self.unseen.remove(resource);
    }

    /// A resource whose name begins so was created lately and never seen since: AWS is consistent eventually, so that it is
    /// not listed does not mean that it is not there.
    pub fn may_be_invisible(&mut self, beginning: &str) -> bool {
        let now = self.now;
        self.unseen.retain(|_, created| now.saturating_sub(*created) < VISIBLE_WITHIN);
        self.unseen.keys().any(|resource| resource.starts_with(beginning))
    }

    /// A client token that AWS refuses because it was used with other parameters. What it made is looked for by its tag
    /// for as long as AWS may take to show it; then the token is spent.
    pub fn token_is_used(&mut self, token: &str) -> bool {
        let now = self.now;
        // One that was not refused for a while was not needed meanwhile: what it made was found.
        self.refused_tokens.retain(|_, (_, last)| now.saturating_sub(*last) < REPLACE_EVERY);
        let (first, last) = self.refused_tokens.entry(token.to_owned()).or_insert((now, now));
        *last = now;
        let first = *first;
        self.since(first) >= VISIBLE_WITHIN
    }

    /// What failed may be replaced: at once the first time, then every five minutes.
    pub fn may_replace(&mut self, resource: &str) -> bool {
        let now = self.now;
        self.replaced.retain(|_, at| now.saturating_sub(*at) < REPLACE_EVERY);
        if self.replaced.contains_key(resource) {
            return false;
        }
        self.replaced.insert(resource.to_owned(), now);
        true
    }
}
