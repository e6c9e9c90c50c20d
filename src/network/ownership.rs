//! Ownership of a network: which installation, and which cluster. The operator checks it before each write for the network or for
//! an app on the network, and before an object is released.
//!
//! Two mistakes are detected here:
//! - The operator runs with another installation id than before. It would find none of its resources, and build all of them again
//!   ([`Reason::InstallationChanged`]).
//! - Two clusters use one installation id. Their resources have the same names and tags, and each cluster would repair and delete
//!   those of the other ([`Reason::InstallationInUse`]). The owner mark on the two security groups of a network tells the clusters
//!   apart: the groups' names are unique in the VPC, and the call that creates a group also tags it.

use crate::{
    api::{
        PrivateGenAINetwork, RecordedOwner,
        condition::{ConditionType, Leg, Reason},
        network::NetworkKey,
    },
    aws::{Ec2Write, SecurityGroup, SecurityGroupId, Tags, Write},
    engine::Settings,
    identity::{ENDPOINTS_GROUP, FUNCTIONS_GROUP, InstallationId, Marked, OwnerMark, TAG_INSTALLATION, TAG_OWNER},
    index::{Index, IndexedApp},
    network::Observed,
    plan::Plan,
};

/// The cluster that a network belongs to, by the owner marks on its security groups.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VpcOwnership {
    /// Both groups exist and carry the mark of this cluster.
    Ours,
    /// A group does not exist yet or has no mark, and no group carries the mark of another cluster.
    #[default]
    Unmarked,
    /// A group carries the mark of another cluster.
    AnotherCluster(ForeignMark),
}

/// A group that carries the mark of another cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ForeignMark {
    /// The group.
    pub group: SecurityGroupId,
    /// The value of the mark.
    pub theirs: String,
    /// The mark of this cluster.
    pub ours: OwnerMark,
    /// The installation id that both clusters use.
    pub installation: InstallationId,
    /// The network.
    pub key: NetworkKey,
}

impl VpcOwnership {
    /// Reads the marks on the groups of a network. Groups of other VPCs and installations are ignored. One group of another cluster
    /// is enough: that cluster works in the VPC.
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
                    return Self::AnotherCluster(ForeignMark {
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
        if names.iter().all(is_marked) { Self::Ours } else { Self::Unmarked }
    }
}

impl ForeignMark {
    /// The condition that reports the mark.
    pub fn leg(&self) -> Leg {
        let Self { group, theirs, ours, installation, key: NetworkKey { region, vpc } } = self;
        let remedy = match theirs.parse::<OwnerMark>() {
            Ok(theirs) => format!(
                "if that cluster is gone, run: private-genai-operator take-over --installation-id {installation} --region \
                 {region} --from {theirs}"
            ),
            Err(_) => {
                format!("if nobody else uses the group, remove its tag {TAG_OWNER}, whose value is no owner mark")
            }
        };
        let message = format!(
            "Security group {group} of VPC {vpc} carries the owner mark {theirs}, and the owner mark of this cluster is {ours}: \
             another cluster uses the installation id {installation}. The operator does nothing for the object, and does not \
             release it. Give one of the two clusters another installation id; {remedy}."
        );
        Leg::blocked(ConditionType::Accepted, Reason::InstallationInUse, message)
    }
}

/// The leg of a network that belongs to another installation by its own status, or else by the statuses of the apps that name its
/// VPC (older versions recorded more there). `None` where the objects contradict nothing.
pub fn refusal_by_objects(network: &PrivateGenAINetwork, key: Option<&NetworkKey>, index: &Index) -> Option<Leg> {
    let ours = &index.settings().installation;
    let name = network.metadata.name.as_deref().unwrap_or_default();
    let own = network.recorded_owner(ours);
    if own != RecordedOwner::Nobody {
        return own.leg(&format!("PrivateGenAINetwork {name}"), ours);
    }
    let key = key?;
    let on_it = || index.apps_on(key).filter_map(IndexedApp::decoded);
    // An app of another installation may have been left there: one app of ours is enough.
    if on_it().any(|app| app.recorded_owner(ours) == RecordedOwner::Ours) {
        return None;
    }
    on_it().find_map(|app| {
        let (namespace, app_name) = (app.metadata.namespace.as_deref(), app.metadata.name.as_deref());
        let who = format!(
            "PrivateGenAINetwork {name}: app {}/{}",
            namespace.unwrap_or_default(),
            app_name.unwrap_or_default()
        );
        app.recorded_owner(ours).leg(&who, ours)
    })
}

/// The leg of a network that belongs to another installation or cluster by its resources in AWS. `None` where AWS contradicts nothing.
pub fn refusal_by_aws(key: &NetworkKey, observed: &Observed, index: &Index) -> Option<Leg> {
    another_installation(key, observed, index).or_else(|| {
        match VpcOwnership::of(&observed.known_groups, key, index.settings()) {
            VpcOwnership::Ours | VpcOwnership::Unmarked => None,
            VpcOwnership::AnotherCluster(foreign) => Some(foreign.leg()),
        }
    })
}

/// The status of an older version names no installation. An endpoint that this status records tells the installation by its tag.
fn another_installation(key: &NetworkKey, observed: &Observed, index: &Index) -> Option<Leg> {
    let ours = &index.settings().installation;
    let mut on_it = index.networks_of(key).filter(|network| network.recorded_owner(ours) == RecordedOwner::Nobody);
    on_it.find_map(|network| {
        let recorded = &network.status.as_ref()?.endpoints;
        let theirs = observed.foreign_endpoints.iter().find_map(|endpoint| {
            let id = endpoint.tags.get(TAG_INSTALLATION)?;
            let is_recorded = recorded.iter().any(|recorded| recorded.vpc_endpoint_id == endpoint.id.as_str());
            is_recorded.then(|| {
                let evidence = format!("endpoint {}", endpoint.id);
                id.parse().map_or(RecordedOwner::AnotherUnnamed { evidence }, RecordedOwner::Another)
            })
        })?;
        let name = network.metadata.name.as_deref().unwrap_or_default();
        theirs.leg(&format!("PrivateGenAINetwork {name}"), ours)
    })
}

/// Marks the groups without a mark: an older version created them, or somebody removed the tag. A mark of another cluster stays:
/// only people know whether that cluster is gone. Tags are written last, after the writes that keep the path private.
pub fn plan_marks(observed: &Observed, owner: &OwnerMark, plan: &mut Plan) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::resource_marked_by;
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
    fn a_network_is_ours_by_both_groups_and_another_cluster_s_by_one() {
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
            let ownership = VpcOwnership::of(&marked(marks), &key(), &settings());
            let found = match ownership {
                VpcOwnership::Ours => "ours",
                VpcOwnership::Unmarked => "open",
                VpcOwnership::AnotherCluster(_) => "another",
            };
            assert_eq!(found, expected, "{marks:?}");
        }
        let mut one = marked([ours, ours]);
        one.pop();
        assert_eq!(VpcOwnership::of(&one, &key(), &settings()), VpcOwnership::Unmarked, "a group does not exist yet");
        assert_eq!(VpcOwnership::of(&[], &key(), &settings()), VpcOwnership::Unmarked);
    }

    #[test]
    fn groups_of_other_vpcs_and_installations_say_nothing() {
        let mut groups = marked([Some("another-cluster"), Some("another-cluster")]);
        groups[0].vpc = "vpc-0def5678".parse().expect("a VPC");
        groups[1].tags.insert(TAG_INSTALLATION.to_owned(), "other".to_owned());
        assert_eq!(VpcOwnership::of(&groups, &key(), &settings()), VpcOwnership::Unmarked);
        let mut groups = marked([Some("another-cluster"), None]);
        groups[0].name.push_str("-copy");
        assert_eq!(VpcOwnership::of(&groups, &key(), &settings()), VpcOwnership::Unmarked, "a name of somebody else's");
    }

    #[test]
    fn the_message_names_the_group_both_marks_and_the_command() {
        let leg = |mark: &str| match VpcOwnership::of(&marked([Some(mark), None]), &key(), &settings()) {
            VpcOwnership::AnotherCluster(foreign) => foreign.leg(),
            other => panic!("{other:?}"),
        };
        let message = leg("another-cluster").message;
        for part in [
            "sg-0000000f",
            "another-cluster",
            &settings().owner.to_string(),
            "take-over --installation-id prod --region us-east-1 --from another-cluster",
        ] {
            assert!(message.text.contains(part), "{part}: {message}");
        }
        let message = leg("not a mark").message;
        assert!(
            message.text.contains("remove its tag privategenai.dev/owner") && !message.text.contains("take-over"),
            "{message}"
        );
    }

    #[test]
    fn only_a_group_without_a_mark_is_marked() {
        let marks = |marks| {
            let mut observed = crate::network::fixtures::bare();
            observed.security_groups = marked(marks);
            let mut plan = Plan::default();
            plan_marks(&observed, &settings().owner, &mut plan);
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
