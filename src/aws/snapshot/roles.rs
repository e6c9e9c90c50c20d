//! The installation's roles, all at once where IAM lets the operator, else one by one.
//!
//! `GetAccountAuthorizationDetails` gives every role with its policies and tags, a thousand a page. The call shows all the
//! account's permissions, so some accounts deny it. Then the operator lists the roles by their path, and reads role by role the
//! details that a listing lacks: for roles that are new or were written to, and for a few others in turn at each resync. So the
//! cost of a resync is independent of the number of apps, and foreign changes are found in turn.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::Instant;

use crate::{
    aws::{Aws, AwsError, Failure, Region, Role, RoleListing, RoleName},
    rotation::next_in_rotation,
};

/// The time for which the operator relies on a denial.
const DENIED_FOR: Duration = Duration::from_hours(1);

/// The time after a write from which IAM's answer is final: IAM is consistent eventually.
const SETTLED_AFTER: Duration = Duration::from_mins(1);

/// The number of roles that are read in turn at each resync. Each takes four calls.
const IN_TURN: usize = 5;

/// The number of roles that are read at the same time.
const AT_ONCE: usize = 4;

/// Reads roles by the way that is open.
#[derive(Default)]
pub(super) struct RoleReader(Mutex<State>);

#[derive(Default)]
struct State {
    /// When IAM last denied to show all roles at once.
    denied: Option<Instant>,
    known: BTreeMap<RoleName, Known>,
    /// Roles that may have changed since they were read.
    stale: BTreeSet<RoleName>,
    /// The time of the last write to a role. An answer soon after it may be older than the write, so the role is read once more.
    written: BTreeMap<RoleName, Instant>,
    /// A resync has come since roles were last read in turn.
    turn: bool,
    /// The role that was last read in turn.
    last: Option<RoleName>,
}

/// A role as last read, with its listing at that time.
struct Known {
    listing: RoleListing,
    role: Role,
}

impl RoleReader {
    /// All roles below a path.
    pub(super) async fn read(
        &self,
        aws: &dyn Aws,
        region: &Region,
        path: &str,
    ) -> Result<BTreeMap<RoleName, Role>, AwsError> {
        if self.may_read_all() {
            match aws.roles(region, path).await {
                Ok(roles) => {
                    if std::mem::take(&mut *self.lock()).denied.is_some() {
                        tracing::info!("IAM shows all roles at once again");
                    }
                    return Ok(roles.into_iter().map(|role| (role.name.clone(), role)).collect());
                }
                Err(error) if error.failure == Failure::AccessDenied => {
                    if self.lock().denied.replace(Instant::now()).is_none() {
                        tracing::warn!(%error, "roles are read one by one; changes by others are found in turn");
                    }
                }
                Err(error) => return Err(error),
            }
        }
        self.one_by_one(aws, region, path).await
    }

    async fn one_by_one(
        &self,
        aws: &dyn Aws,
        region: &Region,
        path: &str,
    ) -> Result<BTreeMap<RoleName, Role>, AwsError> {
        let listed = aws.role_listings(region, path).await?;
        let listed: BTreeMap<_, _> = listed.into_iter().map(|listing| (listing.name.clone(), listing)).collect();
        let wanted = self.wanted(&listed);
        stream::iter(wanted.into_iter().filter_map(|name| listed.get(&name).cloned()))
            .map(async |listing| Ok((aws.role(region, &listing.name).await?, listing)))
            .buffer_unordered(AT_ONCE)
            .try_for_each(async |(role, listing)| {
                self.learn(listing, role);
                Ok(())
            })
            .await?;
        let state = self.lock();
        Ok(state.known.iter().map(|(name, known)| (name.clone(), known.role.clone())).collect())
    }

    /// Marks a role whose known details may be out of date.
    pub(super) fn mark_stale(&self, name: &RoleName) {
        self.lock().stale.insert(name.clone());
    }

    /// Learns from a read of one role.
    pub(super) fn saw(&self, name: &RoleName, role: Option<&Role>) {
        let mut state = self.lock();
        state.stale.remove(name);
        match role.filter(|_| state.denied.is_some()) {
            Some(role) => {
                let Role { name, id, arn, trust_policy, .. } = role.clone();
                let listing = RoleListing { name: name.clone(), id, arn, trust_policy };
                state.known.insert(name, Known { listing, role: role.clone() });
            }
            None => drop(state.known.remove(name)),
        }
    }

    /// Records a write to a role: the next list reads the role, and one reads it again when IAM is sure to show the write.
    pub(super) fn wrote(&self, name: &RoleName) {
        let mut state = self.lock();
        state.stale.insert(name.clone());
        state.written.insert(name.clone(), Instant::now());
    }

    /// A resync: some roles are read although nothing marked them stale.
    pub(super) fn begin_rotation(&self) {
        self.lock().turn = true;
    }

    /// IAM shows all roles at once, as far as it is known.
    pub(super) fn may_read_all(&self) -> bool {
        self.lock().denied.is_none_or(|denied| denied.elapsed() >= DENIED_FOR)
    }

    /// The listed roles to read. They lose their stale mark here: a role that is marked during its read is read again.
    fn wanted(&self, listed: &BTreeMap<RoleName, RoleListing>) -> BTreeSet<RoleName> {
        let mut state = self.lock();
        let State { known, stale, written, turn, last, .. } = &mut *state;
        written.retain(|name, at| {
            let unsettled = at.elapsed() < SETTLED_AFTER;
            if !unsettled {
                stale.insert(name.clone());
            }
            unsettled
        });
        known.retain(|name, known| listed.get(name) == Some(&known.listing) && !stale.contains(name));
        stale.clear();
        let mut wanted: BTreeSet<RoleName> = listed.keys().filter(|name| !known.contains_key(*name)).cloned().collect();
        if std::mem::take(turn) {
            let names: BTreeSet<&RoleName> = listed.keys().collect();
            let next: Vec<RoleName> =
                next_in_rotation(&names, last.as_ref().as_ref(), IN_TURN).copied().cloned().collect();
            *last = next.last().cloned().or(last.take());
            wanted.extend(next);
        }
        wanted
    }

    fn learn(&self, listing: RoleListing, role: Option<Role>) {
        let mut state = self.lock();
        match role {
            Some(role) => drop(state.known.insert(listing.name.clone(), Known { listing, role })),
            // The role was deleted after the listing.
            None => drop(state.known.remove(&listing.name)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(n: usize) -> RoleName {
        format!("pgai-{n:02}").parse().expect("a role name")
    }

    #[test]
    fn a_role_is_read_when_it_is_new_or_listed_differently_or_stale_or_in_turn() {
        let listing = |n: usize, id: &str| RoleListing {
            name: name(n),
            id: id.to_owned(),
            arn: format!("arn:aws:iam::123456789012:role/{}", name(n)),
            trust_policy: crate::aws::PolicyDocument::from_wire("{}"),
        };
        let role = |n: usize| Role {
            name: name(n),
            id: String::new(),
            arn: String::new(),
            trust_policy: crate::aws::PolicyDocument::from_wire("{}"),
            inline_policies: BTreeMap::new(),
            attached_policies: BTreeSet::new(),
            permissions_boundary: None,
            tags: crate::aws::Tags::new(),
        };
        let listed = |ids: [&str; 3]| -> BTreeMap<RoleName, RoleListing> {
            ids.iter().enumerate().map(|(n, id)| (name(n), listing(n, id))).collect()
        };
        let reader = RoleReader::default();
        let wanted = |ids| reader.wanted(&listed(ids)).into_iter().collect::<Vec<_>>();
        assert_eq!(wanted(["a", "b", "c"]), [0, 1, 2].map(name), "all are new");
        for n in 0..3 {
            reader.learn(listing(n, ["a", "b", "c"][n]), Some(role(n)));
        }
        assert_eq!(wanted(["a", "b", "c"]), []);
        assert_eq!(wanted(["a", "other", "c"]), [name(1)], "created again by somebody");
        reader.learn(listing(1, "other"), Some(role(1)));
        reader.mark_stale(&name(2));
        assert_eq!(wanted(["a", "other", "c"]), [name(2)]);
        reader.learn(listing(2, "c"), Some(role(2)));
        assert_eq!(wanted(["a", "other", "c"]), [], "marked stale once, read once");
        reader.begin_rotation();
        assert_eq!(wanted(["a", "other", "c"]), [0, 1, 2].map(name));
        assert_eq!(wanted(["a", "other", "c"]), [], "once for each resync");
    }
}
