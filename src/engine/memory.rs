//! The memory between passes: plain data that contains the time, so that decisions by it are pure. Losing the memory costs calls, never
//! correctness.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    time::Duration,
};

use crate::{
    api::network::NetworkKey,
    aws::{InterfaceState, NetworkInterface, NetworkInterfaceId, SecurityGroupId, Service, VpcEndpointId},
    identity::AppIdentity,
};

/// AWS shows a created resource everywhere within this time.
const VISIBLE_WITHIN: Duration = Duration::from_mins(1);

/// How often a resource that keeps failing is deleted and created again.
const REPLACE_EVERY: Duration = Duration::from_mins(5);

/// The endpoints of a network as earlier answers of AWS showed them. Losing the history costs a call, never correctness.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointHistory {
    /// The endpoints' security group that the history is about: endpoints with another group have other client tokens.
    pub group: Option<SecurityGroupId>,
    /// What the next client token derives from: the deleted endpoint that AWS returned for the previous token, or the previous token,
    /// where AWS refused that token because it was used with other parameters.
    pub used_tokens: BTreeMap<Service, String>,
    /// The endpoint that exists.
    pub current: BTreeMap<Service, VpcEndpointId>,
    /// The endpoint that was deleted last. Its token is used, also when AWS does not list the endpoint any more. An endpoint that is not
    /// listed and was not deleted may exist: its token finds it.
    pub last_deleted: BTreeMap<Service, VpcEndpointId>,
    /// AWS refused to enable private DNS although no visible resource holds the name (a hosted zone may hold it).
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

/// The memory. All times are on the clock of `now`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Memory {
    /// The time, on a monotonic clock.
    pub now: Duration,
    /// The endpoints of each network in earlier answers.
    pub hints: BTreeMap<NetworkKey, EndpointHistory>,
    /// Since when interfaces have been `available`.
    pub available: BTreeMap<NetworkKey, AvailableSince>,
    /// Changes that were not seen since they were made, and when they were made.
    pub unseen: BTreeMap<Unseen, Duration>,
    /// Replaced resources, and when they were replaced.
    pub replaced: BTreeMap<Replaceable, Duration>,
    /// When AWS refused each client token first, and last.
    pub refused_tokens: BTreeMap<String, (Duration, Duration)>,
}

impl Memory {
    fn since(&self, at: Duration) -> Duration {
        self.now.saturating_sub(at)
    }

    /// The endpoints of a network in earlier answers.
    pub fn hints(&self, network: &NetworkKey) -> EndpointHistory {
        self.hints.get(network).cloned().unwrap_or_default()
    }

    /// Changes what is remembered of the endpoints of a network.
    pub fn learn(&mut self, network: &NetworkKey, lesson: impl FnOnce(&mut EndpointHistory)) {
        lesson(self.hints.entry(network.clone()).or_default());
    }

    /// Records the interfaces of a network; gives those that have been `available` for long.
    pub fn long_available(
        &mut self,
        network: &NetworkKey,
        interfaces: &BTreeMap<NetworkInterfaceId, NetworkInterface>,
    ) -> BTreeSet<NetworkInterfaceId> {
        self.available.entry(network.clone()).or_default().observe(interfaces, self.now)
    }

    /// Forgets a network that is gone. The next network of the VPC has other groups and other client tokens.
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

    /// AWS refused a client token because it was used with other parameters. `true` once AWS must have shown the endpoint of that token:
    /// the token is used.
    pub fn token_is_used(&mut self, token: &str) -> bool {
        let now = self.now;
        // A token that was not refused for a while was not needed: its endpoint was found.
        self.refused_tokens.retain(|_, (_, last)| now.saturating_sub(*last) < REPLACE_EVERY);
        let (first, last) = self.refused_tokens.entry(token.to_owned()).or_insert((now, now));
        *last = now;
        let first = *first;
        self.since(first) >= VISIBLE_WITHIN
    }

    /// A failed resource may be replaced: at once the first time, then every five minutes.
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
