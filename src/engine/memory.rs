//! What the operator remembers between passes: plain data, with the time as a member, so that whoever decides by it is
//! pure. Losing it costs calls, never correctness.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    time::Duration,
};

use crate::{
    api::network::NetworkKey,
    aws::{InterfaceState, NetworkInterface, NetworkInterfaceId, SecurityGroupId, Service, VpcEndpointId},
    identity::AppIdentity,
};

/// After so long AWS shows what it created, everywhere.
const VISIBLE_WITHIN: Duration = Duration::from_mins(1);

/// How often a resource that fails again and again is deleted and created again.
const REPLACE_EVERY: Duration = Duration::from_mins(5);

/// What only earlier answers told. Losing it costs a call, never correctness.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointHistory {
    /// The endpoints' group of which `spent` and `ended` tell: endpoints of another group have other tokens.
    pub group: Option<SecurityGroupId>,
    /// What the next client token derives from: the endpoint that our token brought up although it is deleted, or the
    /// token itself where AWS says no more than that it was used for something else.
    pub used_tokens: BTreeMap<Service, String>,
    /// The endpoint that is there.
    pub current: BTreeMap<Service, VpcEndpointId>,
    /// The endpoint that was deleted last. Its token is used up, also once AWS lists it no more. One that vanishes otherwise
    /// may be there all the same: its token finds it.
    pub last_deleted: BTreeMap<Service, VpcEndpointId>,
    /// AWS refused to enable private DNS although nothing that we see holds the name (a hosted zone, say).
    pub private_dns_conflict: BTreeSet<Service>,
}

/// How long an interface must be `available` before it counts as left behind.
const LEFT_BEHIND_AFTER: Duration = Duration::from_mins(10);

/// Since when each interface has been seen `available`, on a monotonic clock. EC2 does not tell this. A restart of the operator
/// begins anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AvailableSince(pub BTreeMap<NetworkInterfaceId, Duration>);

impl AvailableSince {
    /// Records an observation. Returns the interfaces that every observation of more than ten minutes showed as `available`.
    pub fn observe(
        &mut self,
        interfaces: &BTreeMap<NetworkInterfaceId, NetworkInterface>,
        now: Duration,
    ) -> BTreeSet<NetworkInterfaceId> {
        let available = |id: &NetworkInterfaceId| {
            interfaces.get(id).is_some_and(|interface| interface.state == InterfaceState::Available)
        };
        self.0.retain(|id, _| available(id));
        for id in interfaces.keys().filter(|id| available(id)) {
            self.0.entry(id.clone()).or_insert(now);
        }
        let is_long_ago = |since: &Duration| now.saturating_sub(*since) > LEFT_BEHIND_AFTER;
        self.0.iter().filter(|(_, since)| is_long_ago(since)).map(|(id, _)| id.clone()).collect()
    }
}

/// A change that AWS made and may not show everywhere yet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unseen {
    /// The role of an app was created.
    Role(AppIdentity),
    /// The role of an app was tagged as retained.
    RetainedRole(AppIdentity),
    /// A security group of a network was created.
    SecurityGroup(NetworkKey, SecurityGroupId),
    /// An endpoint of a network was created.
    Endpoint(NetworkKey, VpcEndpointId),
}

impl Unseen {
    fn is_of_network(&self, network: &NetworkKey) -> bool {
        match self {
            Self::SecurityGroup(of, _) | Self::Endpoint(of, _) => of == network,
            Self::Role(_) | Self::RetainedRole(_) => false,
        }
    }
}

/// A resource that is replaced when it has failed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Replaceable {
    /// The function of an app.
    Function(AppIdentity),
    /// The endpoints of a network.
    Endpoints(NetworkKey),
}

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
    pub unseen: BTreeMap<Unseen, Duration>,
    /// What was replaced, and when.
    pub replaced: BTreeMap<Replaceable, Duration>,
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
    pub fn long_available(
        &mut self,
        network: &NetworkKey,
        interfaces: &BTreeMap<NetworkInterfaceId, NetworkInterface>,
    ) -> BTreeSet<NetworkInterfaceId> {
        self.available.entry(network.clone()).or_default().observe(interfaces, self.now)
    }

    /// Forgets what was remembered about a network that is gone. One that is built there again has other groups, and other
    /// client tokens.
    pub fn forget(&mut self, network: &NetworkKey) {
        self.available.remove(network);
        self.hints.remove(network);
    }

    /// Remembers a change until it is seen.
    pub fn created(&mut self, change: Unseen) {
        self.unseen.insert(change, self.now);
    }

    /// A change is seen.
    pub fn seen(&mut self, change: &Unseen) {
        self.unseen.remove(change);
    }

    /// The change was made lately and never seen since: AWS is eventually consistent, so a resource that is not listed may exist.
    pub fn may_be_invisible(&mut self, change: &Unseen) -> bool {
        self.recently_unseen().any(|unseen| unseen == change)
    }

    /// Something of the network was created lately and never seen since.
    pub fn may_be_invisible_in(&mut self, network: &NetworkKey) -> bool {
        self.recently_unseen().any(|unseen| unseen.is_of_network(network))
    }

    fn recently_unseen(&mut self) -> impl Iterator<Item = &Unseen> {
        let now = self.now;
        self.unseen.retain(|_, made| now.saturating_sub(*made) < VISIBLE_WITHIN);
        self.unseen.keys()
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
    pub fn may_replace(&mut self, resource: Replaceable) -> bool {
        let now = self.now;
        self.replaced.retain(|_, at| now.saturating_sub(*at) < REPLACE_EVERY);
        match self.replaced.entry(resource) {
            Entry::Occupied(_) => false,
            Entry::Vacant(entry) => {
                entry.insert(now);
                true
            }
        }
    }
}
