//! Takes over the networks of a cluster that is gone: gives their security groups this cluster's mark.
//!
//! The owner mark keeps two clusters with one installation id apart. Only this command replaces the mark of another cluster, and
//! only if a person names that mark. The tags hold all facts that the command needs: it can be interrupted anywhere and run
//! again.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kube::Client;
use tokio_util::sync::CancellationToken;

use crate::{
    aws::{Aws, AwsError, Ec2Write, MaxAge, Region, SecurityGroup, Snapshots, Write},
    engine::UnknownOwner,
    identity::{InstallationId, Marked, OwnerMark, TAG_OWNER},
    leadership::{Election, Leadership},
    network::ownership::owner_tag,
    plan::listed,
    policy::place_of_role,
    uninstall::{
        self, Consent, LeaseWait, ObjectFacts, Print, lease::holding_the_lease, list_objects, of_this_installation,
    },
};

/// The reason why the take-over is not complete, as a sentence for a person.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the names and messages say it")]
pub enum Failure {
    /// Nobody gave consent.
    #[error("nothing was changed: add --yes to mark these security groups as this cluster's")]
    NotConfirmed,
    /// Groups carry a third mark.
    #[error(
        "nothing was changed: {groups}, which is neither {from} nor this cluster's mark. Name the mark of a cluster that is gone by \
         --from, or give one of the clusters another installation id"
    )]
    AnotherOwner {
        from: OwnerMark,
        /// The groups with their marks, as a sentence.
        groups: String,
    },
    /// The named mark is this cluster's own.
    #[error("--from names this cluster's own mark: name the mark of the cluster that is gone")]
    OwnMark,
    /// AWS refused a call.
    #[error("{0}. Correct the cause, then run the command again to go on from here")]
    Aws(#[from] AwsError),
    /// The Lease was lost before the end.
    #[error("the Lease was lost before the end; run the command again to go on from here")]
    NotLeading,
    /// The API server did not tell which cluster this is.
    #[error("nothing was changed: {0}")]
    Owner(#[from] UnknownOwner),
    /// The objects belong to another installation, an operator runs or may run, or Kubernetes did not answer.
    #[error("{0}")]
    Uninstall(#[from] uninstall::Failure),
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        Self::Uninstall(error.into())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Uninstall(error.into())
    }
}

/// The request for a take-over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakeOverRequest {
    /// The installation whose resources are taken over.
    pub installation: InstallationId,
    /// The mark of this cluster.
    pub ours: OwnerMark,
    /// The mark of the cluster that is gone.
    pub from: OwnerMark,
    /// The region of VPCs for which an object names none.
    pub home: Region,
    /// Further regions to read.
    pub also: BTreeSet<Region>,
    /// Whether the changes are made.
    pub consent: Consent,
}

/// The security groups of the installation, by their marks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The groups that carry the mark of the cluster that is gone, by region.
    pub theirs: BTreeMap<Region, Vec<SecurityGroup>>,
    /// The number of groups that carry this cluster's mark.
    pub ours: usize,
    /// The number of groups without a mark, which the operator marks by itself.
    pub unmarked: usize,
    /// A line for each group with the mark of a third cluster.
    pub others: BTreeSet<String>,
}

impl Inventory {
    /// Sorts the groups of the installation by their marks. Pure.
    pub fn of(groups: BTreeMap<Region, Vec<SecurityGroup>>, request: &TakeOverRequest) -> Self {
        let mut inventory = Self::default();
        for (region, groups) in groups {
            for group in groups {
                match request.ours.on(&group.tags) {
                    Marked::Ours => inventory.ours += 1,
                    Marked::Nobody => inventory.unmarked += 1,
                    Marked::Another(mark) if request.from.on(&group.tags) != Marked::Ours => {
                        let group = &group.id;
                        inventory
                            .others
                            .insert(format!("security group {group} in {region} carries the owner mark {mark}"));
                    }
                    Marked::Another(_) => inventory.theirs.entry(region.clone()).or_default().push(group),
                }
            }
        }
        inventory
    }
}

/// Gives the groups of a cluster that is gone this cluster's mark.
///
/// # Guarantees
/// No operator of this cluster acts meanwhile. Nothing is changed when a group carries the mark of a third cluster.
///
/// # Errors
/// The reason why the take-over is not complete.
pub async fn take_over(
    client: Client,
    aws: Arc<dyn Aws>,
    request: &TakeOverRequest,
    election: Election,
    wait: LeaseWait,
    stop: CancellationToken,
    print: Print<'_>,
) -> Result<(), Failure> {
    if request.from == request.ours {
        return Err(Failure::OwnMark);
    }
    let regions = regions(&client, &aws, request).await?;
    let inventory = take_inventory(&aws, &regions, request).await?;
    for line in summary(&inventory, &regions, request) {
        print(&line)?;
    }
    if inventory.theirs.is_empty() {
        return Ok(());
    }
    if request.consent == Consent::Missing {
        return Err(Failure::NotConfirmed);
    }
    let work = async |leadership: Leadership| {
        // The last holder of the Lease may have changed something.
        let inventory = take_inventory(&aws, &regions, request).await?;
        mark_all(&aws, &inventory, request, &leadership, print).await
    };
    holding_the_lease(&client, &election, wait, &stop, print, work).await?;
    print(&format!(
        "The networks are taken over. If an operator of the other cluster still runs, it does nothing for these networks any more, and \
         its objects show InstallationInUse: remove that operator. This cluster's operator continues with installation {}.",
        request.installation
    ))?;
    Ok(())
}

/// Marks each group, and prints the marked groups.
async fn mark_all(
    aws: &Arc<dyn Aws>,
    inventory: &Inventory,
    request: &TakeOverRequest,
    leadership: &Leadership,
    print: Print<'_>,
) -> Result<(), Failure> {
    for (region, groups) in &inventory.theirs {
        for group in groups {
            let write =
                Write::Ec2(Ec2Write::CreateTags { resource: group.id.to_string(), tags: owner_tag(&request.ours) });
            match leadership.write(aws.write(region, &write)).await {
                Ok(answer) => drop(answer?),
                Err(_) => return Err(Failure::NotLeading),
            }
            print(&format!("Security group {} of VPC {} in {region} is this cluster's now.", group.id, group.vpc))?;
        }
    }
    Ok(())
}

/// The regions that may have groups of the installation: the named regions, the regions of objects with resources, and the
/// regions in the tags of roles.
async fn regions(client: &Client, aws: &Arc<dyn Aws>, request: &TakeOverRequest) -> Result<BTreeSet<Region>, Failure> {
    let TakeOverRequest { installation, home, also, .. } = request;
    let objects = list_objects(client, Some(home), installation).await?;
    of_this_installation(&objects, installation)?;
    let mut regions: BTreeSet<Region> = also.iter().chain([home]).cloned().collect();
    regions.extend(objects.iter().filter_map(ObjectFacts::region).cloned());
    let snapshots = Snapshots::new(Arc::clone(aws), installation.clone(), home.clone());
    let roles = snapshots.region(home).roles(MaxAge::Any).await?;
    regions.extend(roles.values().filter_map(|role| place_of_role(installation, role)).map(|(region, _)| region));
    Ok(regions)
}

/// Reads the groups of the installation.
async fn take_inventory(
    aws: &Arc<dyn Aws>,
    regions: &BTreeSet<Region>,
    request: &TakeOverRequest,
) -> Result<Inventory, Failure> {
    let mut groups = BTreeMap::new();
    for region in regions {
        groups.insert(region.clone(), aws.security_groups(region, request.installation.tag()).await?);
    }
    let inventory = Inventory::of(groups, request);
    if inventory.others.is_empty() {
        Ok(inventory)
    } else {
        Err(Failure::AnotherOwner { from: request.from.clone(), groups: listed(inventory.others) })
    }
}

/// The lines about the inventory.
fn summary(inventory: &Inventory, regions: &BTreeSet<Region>, request: &TakeOverRequest) -> Vec<String> {
    let Inventory { theirs, ours, unmarked, others: _ } = inventory;
    let mut lines = Vec::new();
    let count: usize = theirs.values().map(Vec::len).sum();
    if count == 0 {
        lines.push(format!(
            "No security group of installation {} in {} carries the owner mark {}: there is nothing to take over.",
            request.installation,
            listed(regions),
            request.from
        ));
    } else {
        lines.push(format!(
            "{count} security groups of installation {} carry the owner mark {}; each would get {TAG_OWNER}={}:",
            request.installation, request.from, request.ours
        ));
        for (region, groups) in theirs {
            lines.extend(
                groups.iter().map(|group| format!("  {} ({}) of VPC {} in {region}", group.id, group.name, group.vpc)),
            );
        }
        lines.push("Make sure that the operator of the other cluster does not run any more.".to_owned());
    }
    if *ours > 0 {
        lines.push(format!("{ours} security groups carry this cluster's mark already."));
    }
    if *unmarked > 0 {
        lines.push(format!("{unmarked} security groups carry no mark: this cluster's operator marks them by itself."));
    }
    lines
}
