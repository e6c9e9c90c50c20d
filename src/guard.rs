//! The guards of networks that apps create by naming a VPC: the VPCs that apps may name, and the requests that the operator's
//! configuration allows there. A writer of apps in a namespace must not become an administrator of AWS. Pure.
//!
//! To add a guard, add a field of [`Allow`] and a variant of [`Refusal`]. The callers of [`crate::index::Admission`] stay
//! unchanged.

use std::{collections::BTreeSet, fmt, marker::PhantomData, str::FromStr};

use wildmatch::WildMatch;

use crate::{
    aws::{InvalidId, Region, VpcId},
    policy::ModelId,
};

/// A text that a glob can match.
pub trait Globbed {
    /// A description of a valid glob, as the end of a sentence.
    const EXPECTED: &'static str;

    /// The text can be such a glob.
    fn is_glob(text: &str) -> bool;

    /// The text that a glob is compared with.
    fn text(&self) -> &str;
}

/// The name of a namespace in Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(pub String);

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_lower_case(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-*?".contains(&byte)
}

impl Globbed for VpcId {
    const EXPECTED: &'static str = "a VPC id or a glob such as vpc-0abc*";

    fn is_glob(text: &str) -> bool {
        (text.starts_with("vpc-") || text.starts_with('*')) && text.bytes().all(is_lower_case)
    }

    fn text(&self) -> &str {
        self.as_str()
    }
}

impl Globbed for Region {
    const EXPECTED: &'static str = "the code of a region or a glob such as eu-*";

    fn is_glob(text: &str) -> bool {
        text.bytes().all(is_lower_case)
    }

    fn text(&self) -> &str {
        self.as_str()
    }
}

impl Globbed for Namespace {
    const EXPECTED: &'static str = "the name of a namespace or a glob such as team-*";

    fn is_glob(text: &str) -> bool {
        text.bytes().all(is_lower_case)
    }

    fn text(&self) -> &str {
        &self.0
    }
}

impl Globbed for ModelId {
    const EXPECTED: &'static str = "a foundation model ID or a glob such as amazon.nova-*";

    fn is_glob(text: &str) -> bool {
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:-*?".contains(&byte))
    }

    fn text(&self) -> &str {
        self.as_str()
    }
}

/// An id, or a pattern in which `*` stands for any characters and `?` for one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Glob<T>(String, PhantomData<T>);

impl<T: Globbed> Glob<T> {
    /// The glob matches the id.
    pub fn matches(&self, id: &T) -> bool {
        WildMatch::new(&self.0).matches(id.text())
    }
}

impl<T: Globbed> FromStr for Glob<T> {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let glob = text.trim();
        if !glob.is_empty() && T::is_glob(glob) {
            Ok(Self(glob.to_owned(), PhantomData))
        } else {
            Err(InvalidId { text: text.to_owned(), expected: T::EXPECTED })
        }
    }
}

impl<T> fmt::Display for Glob<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A list of globs. An id is allowed when one of the globs matches; an empty list allows no id.
///
/// Globs are separated by commas. An empty text, or an empty part after the last comma, adds no glob: an empty variable must not
/// keep the operator from starting, and must not allow more.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Globs<T>(Vec<Glob<T>>);

impl<T> Globs<T> {
    /// The list that allows no id.
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// The list that allows all ids.
    pub fn all() -> Self {
        Self(vec![Glob("*".to_owned(), PhantomData)])
    }

    /// The list has no glob.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One of the globs matches all ids.
    pub fn allow_all(&self) -> bool {
        self.0.iter().any(|glob| glob.0.bytes().all(|byte| byte == b'*'))
    }

    /// The globs in the order in which they were written.
    pub fn iter(&self) -> impl Iterator<Item = &Glob<T>> {
        self.0.iter()
    }
}

impl<T: Globbed> Globs<T> {
    /// The list that allows this id alone.
    pub fn only(id: &T) -> Self {
        Self(vec![Glob(id.text().to_owned(), PhantomData)])
    }

    /// One of the globs matches the id.
    pub fn allows(&self, id: &T) -> bool {
        self.0.iter().any(|glob| glob.matches(id))
    }
}

impl<T: Globbed> FromStr for Globs<T> {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        text.split(',').filter(|glob| !glob.trim().is_empty()).map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

/// A repeated flag adds its globs to the list.
impl<T> FromIterator<Self> for Globs<T> {
    fn from_iter<I: IntoIterator<Item = Self>>(lists: I) -> Self {
        Self(lists.into_iter().flat_map(|list| list.0).collect())
    }
}

/// The requests that apps may make. An explicit network is to have the same block.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Allow {
    /// The namespaces in which apps may be.
    pub namespaces: Globs<Namespace>,
    /// The models that apps may call.
    pub models: Globs<ModelId>,
}

impl Default for Allow {
    /// All requests of v1alpha1.
    fn default() -> Self {
        Self { namespaces: Globs::all(), models: Globs::all() }
    }
}

impl Allow {
    /// The refusal of an app in this namespace that calls these models; `None` when it is allowed.
    pub fn refusal<'a>(&self, namespace: &str, models: impl IntoIterator<Item = &'a ModelId>) -> Option<Refusal> {
        let namespace = Namespace(namespace.to_owned());
        if !self.namespaces.allows(&namespace) {
            return Some(Refusal::Namespace(namespace));
        }
        let refused: Vec<ModelId> = models.into_iter().filter(|model| !self.models.allows(model)).cloned().collect();
        (!refused.is_empty()).then_some(Refusal::Models(refused))
    }

    /// The models among these that an app in this namespace may call: the operator narrows earlier grants to them.
    pub fn narrowed(&self, namespace: &str, models: BTreeSet<ModelId>) -> BTreeSet<ModelId> {
        if self.namespaces.allows(&Namespace(namespace.to_owned())) { self.of_allowed(models) } else { BTreeSet::new() }
    }

    /// The models among these that an app in an unknown namespace may call: the namespace may be a refused one.
    pub fn narrowed_anywhere(&self, models: BTreeSet<ModelId>) -> BTreeSet<ModelId> {
        if self.namespaces.allow_all() { self.of_allowed(models) } else { BTreeSet::new() }
    }

    fn of_allowed(&self, models: BTreeSet<ModelId>) -> BTreeSet<ModelId> {
        models.into_iter().filter(|model| self.models.allows(model)).collect()
    }
}

/// The operator's configuration about apps that name a VPC.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImplicitNetworks {
    /// The VPCs that apps may name.
    pub vpcs: Globs<VpcId>,
    /// The requests that are allowed there.
    pub allow: Allow,
}

impl ImplicitNetworks {
    /// All requests are allowed in these VPCs.
    pub fn in_vpcs(vpcs: Globs<VpcId>) -> Self {
        Self { vpcs, allow: Allow::default() }
    }

    /// The refusal of an app in this namespace that names this VPC and calls these models; `None` when it is allowed.
    pub fn refusal<'a>(
        &self,
        vpc: &VpcId,
        namespace: &str,
        models: impl IntoIterator<Item = &'a ModelId>,
    ) -> Option<Refusal> {
        if self.vpcs.allows(vpc) { self.allow.refusal(namespace, models) } else { Some(Refusal::Vpc(vpc.clone())) }
    }
}

/// The part of an app that the operator's configuration does not allow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// The region of the app's VPC.
    Region(Region),
    /// The app's VPC.
    Vpc(VpcId),
    /// The app's namespace.
    Namespace(Namespace),
    /// Some of the app's models.
    Models(Vec<ModelId>),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models(ids: &[&str]) -> Vec<ModelId> {
        ids.iter().map(|id| id.parse().expect("a model")).collect()
    }

    fn globs<T: Globbed>(text: &str) -> Globs<T> {
        text.parse().expect("globs")
    }

    #[test]
    fn an_empty_text_is_none_and_allows_nothing_and_so_is_what_stands_between_commas() {
        for none in ["", " ", ",", " , ,"] {
            let vpcs: Globs<VpcId> = globs(none);
            assert!(vpcs.is_empty() && !vpcs.allows(&"vpc-0abc1234".parse().expect("an id")), "{none:?}");
        }
        let home: Region = "us-east-1".parse().expect("a region");
        let regions = Globs::only(&home);
        assert!(regions.allows(&home) && !regions.allows(&"us-east-11".parse().expect("a region")));
        let some: Globs<VpcId> = globs(" vpc-0abc1234 ,,vpc-0def*, ");
        assert_eq!(some.iter().map(ToString::to_string).collect::<Vec<_>>(), ["vpc-0abc1234", "vpc-0def*"]);
    }

    #[test]
    fn a_glob_says_no_more_than_what_it_is_about_can_be() {
        for right in ["vpc-0abc1234", "vpc-*", "*", " vpc-0abc? "] {
            assert!(right.parse::<Glob<VpcId>>().is_ok(), "{right}");
        }
        for wrong in ["", "subnet-1", "vpc-0abc\"", "vpc-0/x", "vpc-${aws:x}", "vpc-0,vpc-1"] {
            let message = wrong.parse::<Glob<VpcId>>().expect_err(wrong).to_string();
            assert!(message.contains("vpc-0abc*"), "{message}");
        }
        for wrong in ["", "Virginia", "us_east_1", "eu-*/x"] {
            let message = wrong.parse::<Glob<Region>>().expect_err(wrong).to_string();
            assert!(message.contains("eu-*"), "{message}");
        }
        for wrong in ["", "Team", "team_a", "team-a/bot", "a.b"] {
            let message = wrong.parse::<Glob<Namespace>>().expect_err(wrong).to_string();
            assert!(message.contains("team-*"), "{message}");
        }
        for wrong in ["", "nova lite", "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0", "a\"b"] {
            let message = wrong.parse::<Glob<ModelId>>().expect_err(wrong).to_string();
            assert!(message.contains("amazon.nova-*"), "{message}");
        }
    }

    #[test]
    fn by_default_every_namespace_and_every_model_is_allowed() {
        assert_eq!(Allow::default().refusal("team-a", &models(&["amazon.nova-lite-v1:0"])), None);
    }

    #[test]
    fn an_app_is_narrowed_to_what_its_namespace_may_have() {
        let (nova, titan) = ("amazon.nova-lite-v1:0", "amazon.titan-text-lite-v1");
        let has = || models(&[nova, titan]).into_iter().collect::<BTreeSet<_>>();
        let left = |ids: &[&str]| models(ids).into_iter().collect::<BTreeSet<_>>();
        let allow = |namespaces: &str, models: &str| Allow { namespaces: globs(namespaces), models: globs(models) };
        let table = [
            ("*", "*", &[nova, titan][..], &[nova, titan][..]),
            ("prod,**", "amazon.nova-*", &[nova], &[nova]),
            ("team-*", "*", &[nova, titan], &[]),
            ("prod", "*", &[], &[]),
            ("*", "", &[], &[]),
            ("", "*", &[], &[]),
        ];
        for (namespaces, ids, known, unknown) in table {
            let allow = allow(namespaces, ids);
            assert_eq!(allow.narrowed("team-a", has()), left(known), "{allow:?}");
            assert_eq!(allow.narrowed_anywhere(has()), left(unknown), "{allow:?}");
        }
    }

    #[test]
    fn what_is_refused_is_named_the_vpc_before_the_namespace_before_the_models() {
        let guard = ImplicitNetworks {
            vpcs: globs("vpc-0abc*"),
            allow: Allow { namespaces: globs("team-?,prod"), models: globs("amazon.nova-*,*:1") },
        };
        let vpc = |id: &str| id.parse::<VpcId>().expect("an id");
        let (here, there) = (vpc("vpc-0abc1234"), vpc("vpc-0def1234"));
        let (nova, titan) = ("amazon.nova-lite-v1:0", "amazon.titan-text-lite-v1");
        let refused = Refusal::Namespace(Namespace("team-ab".into()));
        let table = [
            (&here, "team-a", vec![nova], None),
            (&here, "prod", vec![nova, "anthropic.claude-x:1"], None),
            (&here, "team-a", vec![titan, nova, "ai21.x"], Some(Refusal::Models(models(&[titan, "ai21.x"])))),
            (&here, "team-ab", vec![titan], Some(refused)),
            (&there, "team-ab", vec![titan], Some(Refusal::Vpc(there.clone()))),
        ];
        for (vpc, namespace, ids, expected) in table {
            assert_eq!(guard.refusal(vpc, namespace, &models(&ids)), expected, "{vpc} {namespace} {ids:?}");
        }
        let none = Allow { namespaces: Globs::all(), models: Globs::none() };
        assert_eq!(none.refusal("team-a", &models(&[nova])), Some(Refusal::Models(models(&[nova]))));
    }
}
