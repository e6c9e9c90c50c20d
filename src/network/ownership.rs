//! Whose a network is: this installation's or another's, this cluster's or another's. Asked before anything is written for the
//! network or for an app on it, and before anything is deleted or let go. Pure.
//!
//! Two mistakes are met here. An operator that is given another installation id finds nothing of what it built, and would build it
//! all again ([`Reason::InstallationChanged`]). Two clusters that are given one id have the same names and tags for everything, and
//! each would put right and remove what is the other's ([`Reason::InstallationInUse`]); the two security groups of a network tell
//! them apart, because their names are unique in the VPC and their tags are part of the call that creates them.

use std::sync::Arc;

use crate::{
    api::{
        PrivateGenAIApp, PrivateGenAINetwork, Recorded,
        condition::{ConditionType, Leg, Reason},
        network::NetworkKey,
    },
    aws::{Ec2Write, SecurityGroup, SecurityGroupId, Tags, Write},
    engine::{Cluster, Guarded, Settings, network_of},
    identity::{ENDPOINTS_GROUP, FUNCTIONS_GROUP, InstallationId, Marked, OwnerMark, TAG_INSTALLATION, TAG_OWNER},
    network::Observed,
    plan::Plan,
};

/// What the security groups of a network say together of the cluster that it belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Claim {
    /// Both groups are there and carry the mark of this cluster.
    Ours,
    /// No group carries the mark of another cluster, and this cluster's is not on both: a group does not exist yet, or has no mark.
    #[default]
    Open,
    /// A group carries the mark of another cluster.
    Another(ForeignMark),
}

/// A group that carries the mark of another cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ForeignMark {
    /// The group.
    pub group: SecurityGroupId,
    /// What its mark says.
    pub theirs: String,
    /// The mark of this cluster.
    pub ours: OwnerMark,
    /// The installation that both clusters were given.
    pub installation: InstallationId,
    /// The network.
    pub key: NetworkKey,
}

impl Claim {
    /// What these groups say of a network; those of other VPCs and installations say nothing. One group that is another's is enough:
    /// whoever created it works there.
    pub fn of(groups: &[SecurityGroup], key: &NetworkKey, settings: &Settings) -> Self {
        let Settings { installation, owner, .. } = settings;
        let names = [FUNCTIONS_GROUP, ENDPOINTS_GROUP].map(|component| installation.group_name(component));
        let is_ours = |group: &&SecurityGroup| {
            group.vpc == key.vpc && installation.owns(&group.tags) && names.contains(&group.name)
        };
        let ours = || groups.iter().filter(is_ours);
        for group in ours() {
            match owner.on(&group.tags) {
                Marked::Ours | Marked::Nobody => {}
                Marked::Another(theirs) => {
                    return Self::Another(ForeignMark {
                        group: group.id.clone(),
                        theirs,
                        ours: owner.clone(),
                        installation: installation.clone(),
                        key: key.clone(),
                    });
                }
            }
        }
        let is_marked =
            |name: &String| ours().any(|group| group.name == *name && owner.on(&group.tags) == Marked::Ours);
        if names.iter().all(is_marked) { Self::Ours } else { Self::Open }
    }
}

impl ForeignMark {
    /// The condition that tells of it.
    pub fn leg(&self) -> Leg {
        let Self { group, theirs, ours, installation, key: NetworkKey { region, vpc } } = self;
        let remedy = match theirs.parse::<OwnerMark>() {
            Ok(theirs) => format!(
                "if that cluster is gone, run: private-genai-operator take-over --installation-id {installation} --region \
                 {region} --from {theirs}"
            ),
            Err(_) => {
                format!("if nobody else uses the group, remove its tag {TAG_OWNER}, which is no mark of a cluster")
            }
        };
        let message = format!(
            "Security group {group} of VPC {vpc} carries the owner mark {theirs}, and this cluster's is {ours}: another cluster \
             uses the installation id {installation}. Nothing is done for the object, and it is not let go. Give one of the two \
             clusters another installation id; {remedy}."
        );
        Leg::blocked(ConditionType::Accepted, Reason::InstallationInUse, message)
    }
}

/// Why nothing is done for a network by what objects say: its own status, and where that names nobody, the statuses of the apps
/// that name its VPC, which of older versions say more. `None` where nothing contradicts.
pub fn refusal_by_objects(
    network: &PrivateGenAINetwork,
    key: Option<&NetworkKey>,
    cluster: &Cluster<'_>,
) -> Option<Leg> {
    let ours = &cluster.settings.installation;
    let name = network.metadata.name.as_deref().unwrap_or_default();
    let own = network.recorded(ours);
    if own != Recorded::Nothing {
        return own.leg(&format!("PrivateGenAINetwork {name}"), ours);
    }
    let key = key?;
    let apps = cluster.apps.state();
    let on_it = || {
        let here =
            |app: &&Arc<Guarded<PrivateGenAIApp>>| network_of(app, &cluster.settings.region).as_ref() == Some(key);
        apps.iter().filter(here).filter_map(|app| app.0.as_ref().ok())
    };
    // One that is another's may have been left there: where any is ours, the network is.
    if on_it().any(|app| app.recorded(ours) == Recorded::Ours) {
        return None;
    }
    on_it().find_map(|app| {
        let (namespace, app_name) = (app.metadata.namespace.as_deref(), app.metadata.name.as_deref());
        let who = format!(
            "PrivateGenAINetwork {name}: app {}/{}",
            namespace.unwrap_or_default(),
            app_name.unwrap_or_default()
        );
        app.recorded(ours).leg(&who, ours)
    })
}

/// Why nothing is done for the network of a VPC by what AWS shows. `None` where nothing contradicts.
pub fn refusal_by_aws(key: &NetworkKey, observed: &Observed, cluster: &Cluster<'_>) -> Option<Leg> {
    another_installation(key, observed, cluster).or_else(|| {
        match Claim::of(&observed.known_groups, key, cluster.settings) {
            Claim::Ours | Claim::Open => None,
            Claim::Another(foreign) => Some(foreign.leg()),
        }
    })
}

/// A status that names no installation is an older version's: an endpoint that it records and that carries the tag of another
/// installation says whose the network is.
fn another_installation(key: &NetworkKey, observed: &Observed, cluster: &Cluster<'_>) -> Option<Leg> {
    let ours = &cluster.settings.installation;
    let networks = cluster.networks.state();
    let on_it = networks.iter().filter_map(|network| network.0.as_ref().ok());
    let mut on_it = on_it.filter(|network| {
        network.recorded(ours) == Recorded::Nothing && NetworkKey::try_from(&network.spec).as_ref() == Ok(key)
    });
    on_it.find_map(|network| {
        let recorded = &network.status.as_ref()?.endpoints;
        let theirs = observed.foreign_endpoints.iter().find_map(|endpoint| {
            let id = endpoint.tags.get(TAG_INSTALLATION)?;
            let is_recorded = recorded.iter().any(|it| it.vpc_endpoint_id == endpoint.id.as_str());
            is_recorded.then(|| {
                let evidence = format!("endpoint {}", endpoint.id);
                id.parse().map_or(Recorded::AnotherUnnamed { evidence }, Recorded::Another)
            })
        })?;
        let name = network.metadata.name.as_deref().unwrap_or_default();
        theirs.leg(&format!("PrivateGenAINetwork {name}"), ours)
    })
}

/// Marks the groups that carry no mark: an older version created them, or somebody removed the tag. A mark of another cluster
/// stays: only people can tell whether that cluster is gone. Like every tag, a mark is written after what keeps the path private.
pub fn mark_groups(observed: &Observed, owner: &OwnerMark, plan: &mut Plan) {
    for group in &observed.security_groups {
        match owner.on(&group.tags) {
            Marked::Ours | Marked::Another(_) => {}
            Marked::Nobody => {
                let write = Write::Ec2(Ec2Write::CreateTags { resource: group.id.to_string(), tags: owner_tag(owner) });
                plan.step(ConditionType::SecurityGroupsReady, write);
            }
        }
    }
}

/// The tag that marks a group.
pub fn owner_tag(owner: &OwnerMark) -> Tags {
    let (key, value) = owner.tag();
    Tags::from([(key.to_owned(), value.to_owned())])
}

/// The resource that a write does nothing but mark as this cluster's.
pub fn resource_marked_by(write: &Write) -> Option<&str> {
    match write {
        Write::Ec2(Ec2Write::CreateTags { resource, tags }) if tags.len() == 1 && tags.contains_key(TAG_OWNER) => {
            Some(resource)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::fixtures::{exact_groups, group_id, settings};

    fn key() -> NetworkKey {
        NetworkKey { region: settings().region, vpc: crate::network::fixtures::vpc_id() }
    }

    fn marked(marks: [Option<&str>; 2]) -> Vec<SecurityGroup> {
        let mut groups = exact_groups();
        for (group, mark) in groups.iter_mut().zip(marks) {
            match mark {
                Some(mark) => drop(group.tags.insert(TAG_OWNER.to_owned(), mark.to_owned())),
                None => drop(group.tags.remove(TAG_OWNER)),
            }
        }
        groups
    }

    #[test]
    fn a_network_is_ours_by_both_groups_and_another_s_by_one() {
        let ours = settings().owner.to_string();
        let (ours, another) = (Some(ours.as_str()), Some("another-cluster"));
        let table = [
            ([ours, ours], "ours"),
            ([ours, None], "open"),
            ([None, None], "open"),
            ([ours, another], "another"),
            ([another, ours], "another"),
            ([None, another], "another"),
            ([another, another], "another"),
        ];
        for (marks, expected) in table {
            let claim = Claim::of(&marked(marks), &key(), &settings());
            let told = match claim {
                Claim::Ours => "ours",
                Claim::Open => "open",
                Claim::Another(_) => "another",
            };
            assert_eq!(told, expected, "{marks:?}");
        }
        let mut one = marked([ours, ours]);
        one.pop();
        assert_eq!(Claim::of(&one, &key(), &settings()), Claim::Open, "a group does not exist yet");
        assert_eq!(Claim::of(&[], &key(), &settings()), Claim::Open);
    }

    #[test]
    fn groups_of_other_vpcs_and_installations_say_nothing() {
        let mut groups = marked([Some("another-cluster"), Some("another-cluster")]);
        groups[0].vpc = "vpc-0def5678".parse().expect("a VPC");
        groups[1].tags.insert(TAG_INSTALLATION.to_owned(), "other".to_owned());
        assert_eq!(Claim::of(&groups, &key(), &settings()), Claim::Open);
        let mut groups = marked([Some("another-cluster"), None]);
        groups[0].name.push_str("-copy");
        assert_eq!(Claim::of(&groups, &key(), &settings()), Claim::Open, "a name of somebody else's");
    }

    #[test]
    fn the_message_names_the_group_both_marks_and_the_command() {
        let leg = |mark: &str| match Claim::of(&marked([Some(mark), None]), &key(), &settings()) {
            Claim::Another(foreign) => foreign.leg(),
            other => panic!("{other:?}"),
        };
        let told = leg("another-cluster").message;
        for part in [
            "sg-0000000f",
            "another-cluster",
            &settings().owner.to_string(),
            "take-over --installation-id prod --region us-east-1 --from another-cluster",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
        let told = leg("not a mark").message;
        assert!(told.contains("remove its tag privategenai.dev/owner") && !told.contains("take-over"), "{told}");
    }

    #[test]
    fn only_a_group_without_a_mark_is_marked() {
        let marks = |marks| {
            let mut observed = crate::network::fixtures::bare();
            observed.security_groups = marked(marks);
            let mut plan = Plan::default();
            mark_groups(&observed, &settings().owner, &mut plan);
            plan.steps
                .iter()
                .filter_map(|step| resource_marked_by(&step.write).map(ToOwned::to_owned))
                .collect::<Vec<_>>()
        };
        let ours = settings().owner.to_string();
        assert_eq!(marks([Some(&ours), Some(&ours)]), Vec::<String>::new());
        assert_eq!(marks([Some("another"), Some(&ours)]), Vec::<String>::new(), "another's mark is never put back");
        assert_eq!(marks([None, Some(&ours)]), [group_id(FUNCTIONS_GROUP).to_string()]);
    }
}
