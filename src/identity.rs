//! How a resource in AWS is recognised as ours, without a database and without status: by name, by tag, by client token.
//! The same installation id gives the same names, so that a rebuilt cluster finds what the old one left.

use std::{collections::BTreeSet, fmt, str::FromStr};

use sha2::{Digest, Sha256};

use crate::aws::{
    AccountId, Caller, FunctionName, InvalidId, LogGroupName, NetworkInterfaceId, Partition, Region, RoleName,
    SecurityGroup, SecurityGroupId, Tags, VpcId,
};

/// What the keys of the operator's own tags begin with, [`TAG_NAME`] apart.
pub const TAG_PREFIX: &str = "privategenai.dev/";
/// The tag that makes a resource ours; its value is the installation id.
pub const TAG_INSTALLATION: &str = "privategenai.dev/installation";
/// On the two security groups of a network: which cluster's operator they belong to. See [`OwnerMark`].
pub const TAG_OWNER: &str = "privategenai.dev/owner";
/// The region of the network that a resource belongs to.
pub const TAG_REGION: &str = "privategenai.dev/region";
/// The VPC of the network that a resource belongs to.
pub const TAG_VPC: &str = "privategenai.dev/vpc";
/// What a security group is for: [`FUNCTIONS_GROUP`] or [`ENDPOINTS_GROUP`].
pub const TAG_COMPONENT: &str = "privategenai.dev/component";
/// What the console shows in its lists.
pub const TAG_NAME: &str = "Name";
/// The service that an endpoint leads to.
pub const TAG_SERVICE: &str = "privategenai.dev/service";
/// The choice made about private DNS when the endpoint was created; it never flips by itself.
pub const TAG_PRIVATE_DNS: &str = "privategenai.dev/private-dns";
/// The namespace of the app that a resource belongs to.
pub const TAG_APP_NAMESPACE: &str = "privategenai.dev/app-namespace";
/// The name of the app that a resource belongs to.
pub const TAG_APP_NAME: &str = "privategenai.dev/app-name";

/// On the role of an app that is gone: the interfaces for whose release Lambda may still need the role.
pub const TAG_HANDED_OVER: &str = "privategenai.dev/retired";

/// On the role of an app that was deleted with `deletionPolicy: Retain`: it is there on purpose, with its function.
pub const TAG_RETAINED: &str = "privategenai.dev/retained";

/// The role of these tags, and the function that runs as it, are there on purpose: see [`TAG_RETAINED`].
pub fn is_retained(tags: &Tags) -> bool {
    tags.contains_key(TAG_RETAINED)
}

/// The component of the group that functions carry.
pub const FUNCTIONS_GROUP: &str = "functions";
/// The component of the group that endpoints carry.
pub const ENDPOINTS_GROUP: &str = "endpoints";

/// What every function name of ours begins with.
pub const FUNCTION_PREFIX: &str = "pgai-";
/// What every log group name of ours begins with: Lambda's own default for functions of ours.
pub const LOG_GROUP_PREFIX: &str = "/aws/lambda/pgai-";

/// One installation of the operator, which owns what carries its id. Required, chosen by people, and stable: 1 to 32
/// lower-case letters, digits and inner hyphens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstallationId(String);

impl FromStr for InstallationId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let fits = (1..=32).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !text.starts_with('-')
            && !text.ends_with('-');
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId {
                text: text.to_owned(),
                expected: "an installation id of 1 to 32 lower-case letters, digits and inner hyphens",
            })
        }
    }
}

impl fmt::Display for InstallationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl InstallationId {
    /// The installation whose path a role is in, as the ARN of the role says; `None` for a role in any other path.
    pub fn of_role_arn(arn: &str) -> Option<Self> {
        let (_, path) = arn.split_once(":role/private-genai/")?;
        let (installation, _) = path.split_once('/')?;
        installation.parse().ok()
    }

    /// The name of the security group of a component in each VPC of this installation.
    pub fn group_name(&self, component: &str) -> String {
        format!("private-genai-{component}-{self}")
    }

    /// The path of all roles of this installation. IAM policies of the operator and endpoint policies name it.
    pub fn role_path(&self) -> String {
        format!("/private-genai/{self}/")
    }

    /// The tag that everything of this installation carries.
    pub fn tag(&self) -> (&'static str, &str) {
        (TAG_INSTALLATION, &self.0)
    }

    /// The tags say that the resource is this installation's. This one tag decides whose a resource is; the others say
    /// what it is for, which is known from elsewhere too (a unique name, the service), and are put back when they are lost.
    pub fn owns(&self, tags: &Tags) -> bool {
        tags.get(TAG_INSTALLATION) == Some(&self.0)
    }

    /// On which network a resource of this installation is; `None` for one whose tags do not say, and for anybody else's.
    pub fn place_of(&self, tags: &Tags) -> Option<(Region, VpcId)> {
        let tag = |key: &str| tags.get(key).filter(|_| self.owns(tags));
        Some((tag(TAG_REGION)?.parse().ok()?, tag(TAG_VPC)?.parse().ok()?))
    }

    /// What to do about a resource that seems to be this installation's and does not carry its tag.
    pub fn how_to_tag(&self) -> String {
        format!("tag it {TAG_INSTALLATION}={self}")
    }
}

/// Which cluster an operator belongs to: the UID of its namespace `kube-system`, which Kubernetes creates with the cluster and
/// nobody can create again. Two clusters may be given one installation id by mistake; this tells them apart. An etcd that is
/// restored keeps its UIDs; a cluster that is built anew has others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnerMark(String);

impl FromStr for OwnerMark {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let fits =
            (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId {
                text: text.to_owned(),
                expected: "an owner mark, which is the UID of a namespace, such as 0b7d1f9e-2c3a-4d5e-8f60-718293a4b5c6",
            })
        }
    }
}

impl fmt::Display for OwnerMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the tags of a security group say of the cluster that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Marked {
    /// This cluster's.
    Ours,
    /// Nothing: an older version created it, or somebody removed the tag.
    Nobody,
    /// Another cluster's: the value of the tag, which may be anything that somebody wrote there.
    Another(String),
}

impl OwnerMark {
    /// The tag that says so.
    pub fn tag(&self) -> (&'static str, &str) {
        (TAG_OWNER, &self.0)
    }

    /// What these tags say, seen from the cluster of this mark.
    pub fn on(&self, tags: &Tags) -> Marked {
        match tags.get(TAG_OWNER) {
            None => Marked::Nobody,
            Some(value) if *value == self.0 => Marked::Ours,
            Some(value) => Marked::Another(value.clone()),
        }
    }
}

/// A network is its VPC, never the name of the object that describes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkIdentity {
    /// Whose.
    pub installation: InstallationId,
    /// The account of the VPC.
    pub account: AccountId,
    /// The region of the VPC.
    pub region: Region,
    /// The VPC.
    pub vpc: VpcId,
}

impl NetworkIdentity {
    /// The tags of everything that belongs to the network.
    pub fn tags(&self) -> Tags {
        [
            (TAG_INSTALLATION, self.installation.to_string()),
            (TAG_REGION, self.region.to_string()),
            (TAG_VPC, self.vpc.to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }

    /// The tags say that the resource belongs to this network.
    pub fn owns(&self, tags: &Tags) -> bool {
        self.tags().iter().all(|(key, value)| tags.get(key) == Some(value))
    }

    /// The group is the network's for a component, such as [`FUNCTIONS_GROUP`].
    pub fn is_group(&self, group: &SecurityGroup, component: &str) -> bool {
        group.vpc == self.vpc && self.installation.owns(&group.tags) && group.name == self.group_name(component)
    }

    /// The group is one of the two that the network has. Any other that carries the installation's tag is somebody else's, who
    /// copied the tags: it is neither changed nor deleted.
    pub fn is_own_group(&self, group: &SecurityGroup) -> bool {
        [FUNCTIONS_GROUP, ENDPOINTS_GROUP].iter().any(|component| self.is_group(group, component))
    }

    /// The name of a security group: unique in the VPC, which makes a second one impossible.
    pub fn group_name(&self, component: &str) -> String {
        self.installation.group_name(component)
    }

    /// The client token under which an endpoint is created: the same one for the same purpose, so that a repeated
    /// call finds the endpoint that the first one made. AWS knows a token for longer than it shows the endpoint, so that a
    /// token is used once. A network that was removed and is built again has another `group` (the endpoints' one, whose id
    /// AWS never gives twice), and by that other tokens at once. With the same group, `after` is what came before: the id of
    /// the endpoint that is deleted, or the token that is used up if nobody knows the id any more.
    pub fn endpoint_token(&self, service: &str, group: &SecurityGroupId, after: Option<&str>) -> String {
        hash(&[
            &self.installation.0,
            self.account.as_str(),
            self.region.as_str(),
            self.vpc.as_str(),
            service,
            group.as_str(),
            after.unwrap_or_default(),
        ])
    }
}

/// An app in one VPC: an app that is deleted and created again under its name finds what its predecessor left.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppIdentity {
    /// Whose.
    pub installation: InstallationId,
    /// The region of the VPC.
    pub region: Region,
    /// The VPC.
    pub vpc: VpcId,
    /// The namespace of the object.
    pub namespace: String,
    /// The name of the object.
    pub name: String,
}

impl AppIdentity {
    /// The tags of everything that belongs to the app.
    pub fn tags(&self) -> Tags {
        [
            (TAG_INSTALLATION, self.installation.to_string()),
            (TAG_REGION, self.region.to_string()),
            (TAG_VPC, self.vpc.to_string()),
            (TAG_APP_NAMESPACE, self.namespace.clone()),
            (TAG_APP_NAME, self.name.clone()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }

    /// The tags say that the resource belongs to this app.
    pub fn owns(&self, tags: &Tags) -> bool {
        self.tags().iter().all(|(key, value)| tags.get(key) == Some(value))
    }

    /// Reads back the identity that [`tags`](Self::tags) wrote; `None` for tags of anything else.
    pub fn from_tags(installation: &InstallationId, tags: &Tags) -> Option<Self> {
        let (region, vpc) = installation.place_of(tags)?;
        Some(Self {
            installation: installation.clone(),
            region,
            vpc,
            namespace: tags.get(TAG_APP_NAMESPACE)?.clone(),
            name: tags.get(TAG_APP_NAME)?.clone(),
        })
    }

    /// The app, as `namespace/name`.
    pub fn app(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// The name of the function.
    pub fn function_name(&self) -> FunctionName {
        self.unique_name().parse().unwrap_or_else(|error| unreachable!("a unique name is a function name: {error}"))
    }

    /// The name of the execution role. It bears the region, because role names are unique in the whole account.
    pub fn role_name(&self) -> RoleName {
        self.unique_name().parse().unwrap_or_else(|error| unreachable!("a unique name is a role name: {error}"))
    }

    /// The name of the log group: where Lambda writes by default.
    pub fn log_group_name(&self) -> LogGroupName {
        format!("/aws/lambda/{}", self.unique_name())
            .parse()
            .unwrap_or_else(|error| unreachable!("a unique name makes a log group name: {error}"))
    }

    /// The ARN of the execution role.
    pub fn role_arn(&self, caller: &Caller) -> String {
        let Caller { account, partition } = caller;
        format!("arn:{partition}:iam::{account}:role{}{}", self.installation.role_path(), self.role_name())
    }

    /// The ARN of the function.
    pub fn function_arn(&self, caller: &Caller) -> String {
        let Caller { account, partition } = caller;
        format!("arn:{partition}:lambda:{}:{account}:function:{}", self.region, self.function_name())
    }

    /// Readable, at most 64 characters, and different for every identity: a prefix and 64 bits of a hash.
    fn unique_name(&self) -> String {
        const READABLE: usize = 64 - FUNCTION_PREFIX.len() - 1 - DIGITS;
        const DIGITS: usize = 16;
        let readable: String = format!("{}-{}", self.namespace, self.name)
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .take(READABLE)
            .collect();
        let digest =
            hash(&[&self.installation.0, self.region.as_str(), self.vpc.as_str(), &self.namespace, &self.name]);
        let digits: String = digest.chars().take(DIGITS).collect();
        format!("{FUNCTION_PREFIX}{}-{digits}", readable.trim_end_matches('-'))
    }
}

/// What a retired role is kept for. Lambda releases interfaces with the role of the function that caused them, and shares
/// them between functions, so the role of an app that is gone may still be needed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HandOver {
    /// These interfaces were there when the app went.
    Interfaces(BTreeSet<NetworkInterfaceId>),
    /// More than a tag holds: until no function's interface is left.
    Any,
}

impl HandOver {
    /// The longest value that a tag takes.
    const LONGEST: usize = 256;

    /// Writes it as the value of [`TAG_HANDED_OVER`].
    pub fn tag(interfaces: &BTreeSet<NetworkInterfaceId>) -> String {
        let ids: Vec<&str> = interfaces.iter().map(NetworkInterfaceId::as_str).collect();
        let text = ids.join(" ");
        if text.len() <= Self::LONGEST { text } else { "any".to_owned() }
    }

    /// Reads it from the tags of a role; `None` for a role in use. What cannot be read is kept for long.
    pub fn from_tags(tags: &Tags) -> Option<Self> {
        let text = tags.get(TAG_HANDED_OVER)?;
        let ids: Result<BTreeSet<NetworkInterfaceId>, InvalidId> = text.split_whitespace().map(str::parse).collect();
        Some(ids.map_or(Self::Any, Self::Interfaces))
    }

    /// The role is not needed any more, given the interfaces that there are.
    pub fn is_over(&self, interfaces: &BTreeSet<NetworkInterfaceId>) -> bool {
        match self {
            Self::Interfaces(kept_for) => kept_for.is_disjoint(interfaces),
            Self::Any => interfaces.is_empty(),
        }
    }
}

/// What is said of an app whose role lost the tags that name it: what there is to do about it.
pub fn app_of_role(role: &RoleName) -> String {
    format!("the app of role {role} (put back its tags {TAG_APP_NAMESPACE} and {TAG_APP_NAME})")
}

/// What of these tags a resource lacks, or says otherwise. A `Name` that somebody chose stays.
pub fn missing_tags(wanted: &Tags, found: &Tags) -> Tags {
    let as_wanted = |key: &String, value: &String| match found.get(key) {
        Some(_) if key == TAG_NAME => true,
        other => other == Some(value),
    };
    wanted
        .iter()
        .filter(|(key, value)| !as_wanted(key, value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// The ARN that all roles of an installation match.
pub fn role_arn_pattern(installation: &InstallationId, partition: Partition, account: &AccountId) -> String {
    format!("arn:{partition}:iam::{account}:role{}*", installation.role_path())
}

/// SHA-256 in hexadecimal (64 characters) of parts that cannot run into one another.
fn hash(parts: &[&str]) -> String {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update(part.len().to_be_bytes());
        sha.update(part);
    }
    let hexadecimal =
        |byte: &u8| [byte >> 4, byte & 15].map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]));
    sha.finalize().iter().flat_map(hexadecimal).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(namespace: &str, name: &str) -> AppIdentity {
        AppIdentity {
            installation: "prod".parse().expect("id"),
            region: "us-east-1".parse().expect("region"),
            vpc: "vpc-0abc1234".parse().expect("vpc"),
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    #[test]
    fn names_fit_aws_whatever_kubernetes_allows() {
        for (namespace, name) in [
            ("a".to_owned(), "b".to_owned()),
            ("n".repeat(63), "x".repeat(253)),
            ("team".into(), "dotted.name.example".into()),
            ("team".into(), format!("{}.{}", "a".repeat(40), "b".repeat(40))),
        ] {
            let app = app(&namespace, &name);
            assert!(app.function_name().as_str().len() <= 64);
            assert!(app.role_name().as_str().starts_with(FUNCTION_PREFIX));
            assert!(app.log_group_name().as_str().starts_with(LOG_GROUP_PREFIX));
            assert!(app.tags().values().all(|value| value.len() <= 256), "a tag value has at most 256 characters");
        }
    }

    #[test]
    fn apps_that_read_alike_have_different_names() {
        let names = [app("a-b", "c"), app("a", "b-c"), app("a", "b.c")].map(|app| app.function_name());
        assert_ne!(names[0], names[1]);
        assert_ne!(names[1], names[2]);
        let elsewhere = AppIdentity { region: "eu-west-1".parse().expect("region"), ..app("a", "b-c") };
        assert_ne!(elsewhere.role_name(), names[1].as_str().parse().expect("role name"));
    }

    #[test]
    fn names_never_change_between_versions() {
        assert_eq!(app("team-a", "support-bot").function_name().as_str(), "pgai-team-a-support-bot-932ec4a46b04a0f8");
    }

    #[test]
    fn an_identity_survives_its_tags() {
        let app = app("team-a", "support-bot");
        assert_eq!(AppIdentity::from_tags(&app.installation, &app.tags()), Some(app.clone()));
        let other = "other".parse().expect("id");
        assert_eq!(AppIdentity::from_tags(&other, &app.tags()), None, "another installation's resource is not ours");
    }

    #[test]
    fn a_retired_role_is_kept_exactly_as_long_as_an_interface_that_it_may_be_needed_for() {
        let ids = |count: usize| -> BTreeSet<NetworkInterfaceId> {
            (0..count).map(|n| format!("eni-{n:017x}").parse().expect("an id")).collect()
        };
        let kept_for = |count: usize| {
            let tag = HandOver::tag(&ids(count));
            assert!(tag.len() <= 256);
            HandOver::from_tags(&[(TAG_HANDED_OVER.to_owned(), tag)].into()).expect("a retirement")
        };
        assert!(!kept_for(2).is_over(&ids(2)));
        assert!(kept_for(2).is_over(&ids(4).difference(&ids(2)).cloned().collect()), "newer ones have newer roles");
        assert!(!kept_for(40).is_over(&ids(1)) && kept_for(40).is_over(&ids(0)), "too many for a tag");
        assert_eq!(HandOver::from_tags(&Tags::new()), None);
        assert_eq!(HandOver::from_tags(&[(TAG_HANDED_OVER.to_owned(), "?".to_owned())].into()), Some(HandOver::Any));
    }

    #[test]
    fn tags_that_were_removed_or_changed_are_missing_and_a_name_that_somebody_chose_is_not() {
        let tags = |pairs: &[(&str, &str)]| -> Tags {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let wanted = tags(&[("Name", "ours"), ("a", "1"), ("b", "2")]);
        assert_eq!(missing_tags(&wanted, &wanted), Tags::new());
        assert_eq!(
            missing_tags(&wanted, &tags(&[("Name", "theirs"), ("a", "9"), ("c", "3")])),
            tags(&[("a", "1"), ("b", "2")])
        );
        assert_eq!(missing_tags(&wanted, &Tags::new()), wanted);
    }

    #[test]
    fn a_token_is_stable_until_the_endpoint_is_replaced() {
        let network = NetworkIdentity {
            installation: "prod".parse().expect("id"),
            account: "123456789012".parse().expect("account"),
            region: "us-east-1".parse().expect("region"),
            vpc: "vpc-0abc1234".parse().expect("vpc"),
        };
        let group = |id: &str| id.parse::<SecurityGroupId>().expect("a group");
        let (ours, rebuilt) = (group("sg-0000000e"), group("sg-0000001e"));
        let first = network.endpoint_token("bedrock-runtime", &ours, None);
        assert_eq!(first, network.endpoint_token("bedrock-runtime", &ours, None));
        assert!(first.len() <= 64 && first.is_ascii());
        assert_ne!(first, network.endpoint_token("bedrock-runtime", &ours, Some("vpce-0123456789abcdef0")));
        assert_ne!(
            first,
            network.endpoint_token("bedrock-runtime", &rebuilt, None),
            "the network was removed meanwhile"
        );
        assert_ne!(first, network.endpoint_token("bedrock", &ours, None));
    }

    #[test]
    fn an_owner_mark_is_a_uid_and_a_tag_that_says_anything_else_is_another_cluster_s() {
        let mark: OwnerMark = "0b7d1f9e-2c3a-4d5e-8f60-718293a4b5c6".parse().expect("a mark");
        for wrong in ["", "a b", "a/b", "a_b", "é", &"a".repeat(65)] {
            assert!(wrong.parse::<OwnerMark>().is_err(), "{wrong}");
        }
        let tags = |value: &str| Tags::from([(TAG_OWNER.to_owned(), value.to_owned())]);
        assert_eq!(mark.on(&tags(&mark.to_string())), Marked::Ours);
        assert_eq!(mark.on(&Tags::new()), Marked::Nobody);
        for other in ["", "0B7D1F9E-2c3a-4d5e-8f60-718293a4b5c6", "not a mark"] {
            assert_eq!(mark.on(&tags(other)), Marked::Another(other.to_owned()));
        }
    }

    #[test]
    fn the_arn_of_a_role_names_the_installation_whose_path_it_is_in() {
        let of = |arn: &str| InstallationId::of_role_arn(arn).map(|id| id.to_string());
        let caller = Caller { account: "123456789012".parse().expect("account"), partition: Partition::Aws };
        assert_eq!(of(&app("team-a", "bot").role_arn(&caller)).as_deref(), Some("prod"));
        for none in ["", "arn:aws:iam::123456789012:role/x", "arn:aws:iam::123456789012:role/private-genai/x"] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[test]
    fn installation_ids_are_refused_with_a_sentence_when_they_would_not_fit_a_path_and_a_tag() {
        for wrong in ["", "Prod", "a b", "-a", "a-", "a/b", &"a".repeat(33)] {
            assert!(wrong.parse::<InstallationId>().is_err(), "{wrong}");
        }
    }
}
