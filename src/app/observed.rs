//! What there is of an app in AWS.

use std::collections::BTreeSet;

use crate::{
    api::app::FunctionStatus,
    aws::{
        BeforeRepair, FunctionDetail, FunctionListing, FunctionState, LogGroup, NetworkInterfaceId, Role, Tags,
        UpdateStatus,
    },
    network::VpcOwnership,
    plan::Unread,
};

use super::desired::DesiredFunction;

/// The facts about one app, taken out of the shared snapshot, and `GetFunction` where that does not do.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Observed {
    /// Its execution role.
    pub role: Option<Role>,
    /// The unique id of the role that the function was given, as far as it is known.
    pub given_role_id: Option<String>,
    /// Its log group.
    pub log_group: Option<LogGroupFacts>,
    /// Its function, as listed.
    pub listing: Option<FunctionListing>,
    /// Its function with state and tags, where it had to be asked for.
    pub detail: Option<FunctionDetail>,
    /// The interfaces for whose release Lambda may need the app's role, where the app is to go. Where that role is gone,
    /// those that nobody else would find.
    pub interfaces: BTreeSet<NetworkInterfaceId>,
    /// What the security groups of its VPC say of the cluster that it belongs to.
    pub ownership: VpcOwnership,
    /// What of this could not be read, and is empty for that.
    pub unread: Unread,
}

impl Observed {
    /// What a repair tells of what was there before it.
    pub fn found(&self) -> BeforeRepair {
        BeforeRepair {
            function: self.listing.clone(),
            role: self.role.clone(),
            log_group: self.log_group.as_ref().map(|facts| facts.group.clone()),
        }
    }

    /// The role is another principal than the one that the function was given, whatever its name says.
    pub fn has_another_role(&self) -> bool {
        self.role.as_ref().zip(self.given_role_id.as_ref()).is_some_and(|(role, given)| role.id != *given)
    }
}

/// A log group, and its tags where they had to be asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogGroupFacts {
    /// The group.
    pub group: LogGroup,
    /// Its tags; `None` where nobody asked.
    pub tags: Option<Tags>,
}

/// A listing tells neither state nor tags. It does when nothing has changed since the function was seen active, which
/// status recorded; then no call is needed for the app.
pub fn needs_detail(
    listing: Option<&FunctionListing>,
    desired: &DesiredFunction,
    recorded: Option<&FunctionStatus>,
) -> bool {
    let Some(listing) = listing else {
        return false;
    };
    let settled = recorded.is_some_and(|recorded| {
        recorded.arn == listing.arn
            && recorded.last_modified == listing.last_modified
            && recorded.code_sha256 == listing.code_sha256
            && recorded.state == FunctionState::Active.as_str()
            && recorded.last_update_status == UpdateStatus::Successful.as_str()
    });
    let as_desired = listing.configuration == desired.configuration_of(&listing.configuration)
        && listing.altered.is_empty()
        && listing.fixed.is_empty()
        && listing.architecture == desired.architecture
        && listing.code_sha256 == desired.package.sha256();
    !(settled && as_desired)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{
        NetworkOffer,
        fixtures::{desired, desired_on, listing, recorded},
    };

    #[test]
    fn nothing_is_asked_about_a_function_that_is_as_it_was_when_it_was_seen_active() {
        let function = desired().function;
        assert!(!needs_detail(Some(&listing()), &function, Some(&recorded())));
        assert!(!needs_detail(
            Some(&listing()),
            &desired_on(&NetworkOffer::Unavailable(None)).function,
            Some(&recorded())
        ));
        assert!(!needs_detail(None, &function, Some(&recorded())), "there is no such function");
    }

    #[test]
    fn a_function_is_asked_about_when_it_is_new_changed_unhealthy_or_about_to_be_written() {
        type Case = (&'static str, fn(&mut FunctionListing, &mut FunctionStatus));
        let cases: [Case; 13] = [
            ("another one under the name", |_, recorded| recorded.arn.clear()),
            ("changed since", |listing, _| listing.last_modified.push('x')),
            ("pending when last seen", |_, recorded| recorded.state = "Pending".to_owned()),
            ("inactive when last seen", |_, recorded| recorded.state = "Inactive".to_owned()),
            ("updating when last seen", |_, recorded| recorded.last_update_status = "InProgress".to_owned()),
            ("not updated when last seen", |_, recorded| recorded.last_update_status = "Failed".to_owned()),
            ("other code than recorded", |_, recorded| recorded.code_sha256.clear()),
            ("about to get a configuration", |listing, _| listing.configuration.memory_mib += 1),
            ("about to get a processor", |listing, _| listing.architecture = crate::aws::Architecture::X86_64),
            ("about to get code", |listing, recorded| {
                listing.code_sha256 = "other".to_owned();
                recorded.code_sha256 = "other".to_owned();
            }),
            ("about to have a setting put back", |listing, _| listing.altered = [crate::aws::Setting::Layers].into()),
            ("created by somebody else", |listing, _| listing.fixed = [crate::aws::Fixed::Durable].into()),
            ("detached", |listing, _| listing.configuration.subnets.clear()),
        ];
        let function = desired().function;
        for (what, change) in cases {
            let (mut listing, mut recorded) = (listing(), recorded());
            change(&mut listing, &mut recorded);
            assert!(needs_detail(Some(&listing), &function, Some(&recorded)), "{what}");
        }
        assert!(needs_detail(Some(&listing()), &function, None), "never seen");
    }
}
