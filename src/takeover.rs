//! Taking over what a cluster that is gone left in AWS: the security groups of its networks are marked as this cluster's.
//!
//! The mark keeps two clusters with one installation id apart, so that nothing but this command ever replaces the mark of another
//! cluster, and only where people name that mark. All that the command knows is in the tags: it can be interrupted anywhere and
//! run again.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    sync::Arc,
};

use clap::Args;
use kube::Client;
use tokio_util::sync::CancellationToken;

use crate::{
    aws::{Aws, AwsError, Ec2Write, MaxAge, Region, SecurityGroup, Snapshots, Write, sdk::SdkAws},
    engine::{UnknownOwner, owner_mark, with_timeout},
    identity::{InstallationId, Marked, OwnerMark, TAG_OWNER},
    leadership::{Election, Leadership, LeaseFlags},
    network::ownership::owner_tag,
    plan::listed,
    policy::place_of_role,
    uninstall::{
        self, Item, Waiting,
        flags::{Log, WaitingFlags},
        lease::holding_the_lease,
        objects, of_this_installation,
    },
};

/// Marks the security groups of a cluster that is gone as this cluster's.
#[derive(Args, Debug)]
pub struct TakeOver {
    /// Whose resources these are: what the operator of the cluster that is gone was given, and this cluster's is.
    #[arg(long, env = "PGAI_INSTALLATION_ID")]
    installation_id: InstallationId,

    /// The region of VPCs for which an app names none: what the operator is given.
    #[arg(long, env = "AWS_REGION")]
    region: Region,

    /// A further region to look in. Those that the objects here and the roles of the installation name are looked in anyway.
    #[arg(long = "also-region")]
    also_regions: Vec<Region>,

    /// The owner mark of the cluster that is gone, as the condition InstallationInUse names it.
    #[arg(long)]
    from: OwnerMark,

    /// Do it. Without this, what would be changed is told, and the status is 2.
    #[arg(long)]
    yes: bool,

    #[command(flatten)]
    waiting: WaitingFlags,

    #[command(flatten)]
    lease: LeaseFlags,

    #[command(flatten)]
    log: Log,
}

/// Why nothing, or not everything, is taken over. Each is a sentence for whoever asked for it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Nobody has said yes.
    #[error("nothing was changed: add --yes to mark these security groups as this cluster's")]
    NotConfirmed,
    /// Groups carry another mark than the one that was named.
    #[error(
        "nothing was changed: {groups}, which is neither {from} nor this cluster's mark. Name by --from the mark of a cluster that is \
         gone, or give one of the clusters another installation id"
    )]
    AnotherOwner {
        /// The mark that was named.
        from: OwnerMark,
        /// The groups with their marks, as a sentence.
        groups: String,
    },
    /// The mark that was named is this cluster's.
    #[error("--from names this cluster's own mark: name the mark of the cluster that is gone")]
    OwnMark,
    /// AWS refused a call.
    #[error("{0}. Run the command again when that is corrected: it goes on from here")]
    Aws(#[from] AwsError),
    /// The Lease was lost before the end.
    #[error("the Lease was lost before the end: run the command again, it goes on from here")]
    NotLeading,
    /// Which cluster this is, is not known.
    #[error("nothing was changed: {0}")]
    Owner(#[from] UnknownOwner),
    /// The objects are another installation's, an operator runs or may run, or Kubernetes could not be asked.
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

impl TakeOver {
    /// Does it.
    ///
    /// # Errors
    /// When not all is taken over, and why.
    pub async fn execute(self, stop: CancellationToken) -> Result<(), Failure> {
        self.log.start()?;
        let client = with_timeout(&kube::Client::try_default().await?);
        let aws: Arc<dyn Aws> = Arc::new(SdkAws::load(&self.region, Arc::new(|_| ())).await);
        let request = Request {
            installation: self.installation_id,
            ours: owner_mark(&client).await?,
            from: self.from,
            home: self.region,
            also: self.also_regions.into_iter().collect(),
            consent: if self.yes { Consent::Given } else { Consent::Lacking },
        };
        let (election, waiting) = (self.lease.election(&client), self.waiting.waiting());
        let say = |line: String| writeln!(std::io::stdout(), "{line}");
        take_over(client, aws, &request, election, waiting, stop, say).await
    }
}

/// Whether somebody has said yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// It is to be done.
    Given,
    /// What would be done is told.
    Lacking,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Whose resources these are.
    pub installation: InstallationId,
    /// The mark of this cluster.
    pub ours: OwnerMark,
    /// The mark of the cluster that is gone.
    pub from: OwnerMark,
    /// The region where an object names none.
    pub home: Region,
    /// Further regions to look in.
    pub also: BTreeSet<Region>,
    /// Whether it is to be done.
    pub consent: Consent,
}

/// What there is to take over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The groups that carry the mark of the cluster that is gone, by region.
    pub theirs: BTreeMap<Region, Vec<SecurityGroup>>,
    /// How many groups are this cluster's already.
    pub ours: usize,
    /// How many groups carry no mark: the operator marks them by itself.
    pub unmarked: usize,
    /// Groups with a mark that is neither, each with it.
    pub others: BTreeSet<String>,
}

impl Inventory {
    /// Sorts the groups of the installation by their marks. Pure.
    pub fn of(groups: BTreeMap<Region, Vec<SecurityGroup>>, request: &Request) -> Self {
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

/// Marks the groups of the installation that carry the mark of a cluster that is gone as this cluster's. A group with any other mark
/// ends it before anything is changed. `tell` is given lines for people.
///
/// # Errors
/// When not all is taken over, and why.
pub async fn take_over(
    client: Client,
    aws: Arc<dyn Aws>,
    request: &Request,
    election: Election,
    waiting: Waiting,
    stop: CancellationToken,
    mut tell: impl FnMut(String) -> std::io::Result<()>,
) -> Result<(), Failure> {
    if request.from == request.ours {
        return Err(Failure::OwnMark);
    }
    let regions = regions(&client, &aws, request).await?;
    let inventory = look(&aws, &regions, request).await?;
    for line in told(&inventory, &regions, request) {
        tell(line)?;
    }
    if inventory.theirs.is_empty() {
        return Ok(());
    }
    if request.consent == Consent::Lacking {
        return Err(Failure::NotConfirmed);
    }
    let work = async |leadership: Leadership| {
        // Whoever had the Lease may have changed something.
        let inventory = look(&aws, &regions, request).await?;
        let mut done = Vec::new();
        let ended = mark_all(&aws, &inventory, request, &leadership, &mut done).await;
        Ok::<_, Failure>((done, ended))
    };
    let (done, ended) = holding_the_lease(&client, &election, waiting, &stop, &mut tell, work).await?;
    for line in done {
        tell(line)?;
    }
    ended?;
    tell(format!(
        "Taken over. An operator of the other cluster that still runs does nothing there any more, and says InstallationInUse: remove \
         that operator. This cluster's operator goes on with installation {}.",
        request.installation
    ))?;
    Ok(())
}

/// Marks each group; `done` tells of those that are, also where one cannot be.
async fn mark_all(
    aws: &Arc<dyn Aws>,
    inventory: &Inventory,
    request: &Request,
    leadership: &Leadership,
    done: &mut Vec<String>,
) -> Result<(), Failure> {
    for (region, groups) in &inventory.theirs {
        for group in groups {
            let write =
                Write::Ec2(Ec2Write::CreateTags { resource: group.id.to_string(), tags: owner_tag(&request.ours) });
            match leadership.write(aws.write(region, &write)).await {
                Ok(answer) => drop(answer?),
                Err(_) => return Err(Failure::NotLeading),
            }
            done.push(format!("Security group {} of VPC {} in {region} is this cluster's now.", group.id, group.vpc));
        }
    }
    Ok(())
}

/// Where there may be groups of the installation: the regions that were named, those of the objects here for which something was
/// made, and those that the tags of roles name, which have no region themselves.
async fn regions(client: &Client, aws: &Arc<dyn Aws>, request: &Request) -> Result<BTreeSet<Region>, Failure> {
    let Request { installation, home, also, .. } = request;
    let items = objects(client, Some(home), installation).await?;
    of_this_installation(&items, installation)?;
    let mut regions: BTreeSet<Region> = also.iter().chain([home]).cloned().collect();
    regions.extend(items.iter().filter_map(Item::region).cloned());
    let snapshots = Snapshots::new(Arc::clone(aws), installation.clone(), home.clone());
    let roles = snapshots.region(home).roles(MaxAge::Any).await?;
    regions.extend(roles.values().filter_map(|role| place_of_role(installation, role)).map(|(region, _)| region));
    Ok(regions)
}

/// Looks at the groups of the installation.
async fn look(aws: &Arc<dyn Aws>, regions: &BTreeSet<Region>, request: &Request) -> Result<Inventory, Failure> {
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

/// What there is, for people.
fn told(inventory: &Inventory, regions: &BTreeSet<Region>, request: &Request) -> Vec<String> {
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
