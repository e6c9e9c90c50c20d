//! The common properties of all resources that the operator creates, set by the people who run it: tags, and a permissions
//! boundary for roles.

use std::{collections::BTreeSet, str::FromStr};

use crate::{
    aws::{IamWrite, PolicyArn, Role, Tags, Write},
    identity::{TAG_NAME, TAG_PREFIX},
};

/// The common properties of all resources that the operator creates.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Governance {
    /// Tags besides the operator's own.
    pub tags: PlatformTags,
    /// The limit of the permissions of every execution role, whatever its policies allow.
    pub permissions_boundary: Option<PolicyArn>,
}

impl Governance {
    /// The tags of a resource: the common ones and its own.
    pub fn tagged(&self, own: Tags) -> Tags {
        let mut tags = self.tags.0.clone();
        tags.extend(own);
        tags
    }

    /// The write that puts a role under the permissions boundary. `None` if the role has the boundary. If no boundary is
    /// configured, a foreign boundary stays: it can only take permissions away.
    pub fn bound(&self, role: &Role) -> Option<Write> {
        let boundary = self.permissions_boundary.clone()?;
        (role.permissions_boundary.as_deref() != Some(boundary.as_str()))
            .then(|| Write::Iam(IamWrite::PutRolePermissionsBoundary { role: role.name.clone(), boundary }))
    }
}

/// Tags of all resources besides the operator's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlatformTags(Tags);

/// The reason why a text is no [`PlatformTags`], as a sentence for its author.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tag {tag:?} {why}")]
pub struct InvalidTag {
    /// The tag as written.
    pub tag: String,
    /// The mistake, and the correct form.
    pub why: &'static str,
}

impl PlatformTags {
    /// A resource takes 50 tags (AWS General Reference, "Tag naming limits and requirements"), of which the operator's own are
    /// at most seven.
    pub const MAX: usize = 40;

    /// The tags by key.
    pub fn tags(&self) -> &Tags {
        &self.0
    }
}

impl FromStr for PlatformTags {
    type Err = InvalidTag;

    /// Reads `key=value,key2=value2`; an empty text gives no tags.
    ///
    /// The limits are those that all services share ("Tag naming limits and requirements"). Letters beyond ASCII are left out,
    /// because the services differ about them.
    fn from_str(text: &str) -> Result<Self, InvalidTag> {
        let mut tags = Tags::new();
        let mut seen = BTreeSet::new();
        for tag in text.split(',').map(str::trim).filter(|_| !text.trim().is_empty()) {
            let refuse = |why| Err(InvalidTag { tag: tag.to_owned(), why });
            let Some((key, value)) = tag.split_once('=') else {
                return refuse("is not key=value; separate tags by commas, which no tag can have");
            };
            let (key, value) = (key.trim(), value.trim());
            let folded = key.to_ascii_lowercase();
            let fits = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || " _.:/+-@".contains(c));
            if !(1..=128).contains(&key.len()) || !fits(key) {
                return refuse("needs a key of 1 to 128 letters, digits, spaces and _ . : / + - @");
            }
            if value.len() > 256 || !fits(value) {
                return refuse("needs a value of at most 256 letters, digits, spaces and _ . : / + - @");
            }
            if [&folded, &value.to_ascii_lowercase()].iter().any(|text| text.starts_with("aws:")) {
                return refuse("has a key or a value that begins with aws:, which AWS reserves");
            }
            if folded.starts_with(TAG_PREFIX) || key == TAG_NAME {
                return refuse("has a key that the operator sets itself; choose another one");
            }
            // IAM does not distinguish keys that differ in case only.
            if !seen.insert(folded) {
                return refuse("has the key of an earlier tag; IAM does not distinguish upper and lower case");
            }
            tags.insert(key.to_owned(), value.to_owned());
            if tags.len() > Self::MAX {
                return refuse("is the 41st; set at most 40 tags");
            }
        }
        Ok(Self(tags))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Tags, String> {
        text.parse::<PlatformTags>().map(|tags| tags.0).map_err(|error| error.to_string())
    }

    #[test]
    fn tags_are_read_and_nothing_is_none() {
        let tags = |pairs: &[(&str, &str)]| -> Tags {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(read(""), Ok(tags(&[])));
        assert_eq!(read("  "), Ok(tags(&[])));
        assert_eq!(
            read("team=ai, cost center=a/b:4711 ,empty="),
            Ok(tags(&[("cost center", "a/b:4711"), ("empty", ""), ("team", "ai"),]))
        );
        let longest = format!("{}={}", "k".repeat(128), "v".repeat(256));
        assert_eq!(read(&longest).map(|tags| tags.len()), Ok(1));
        let many: Vec<String> = (0..PlatformTags::MAX).map(|n| format!("k{n}=v")).collect();
        assert_eq!(read(&many.join(",")).map(|tags| tags.len()), Ok(PlatformTags::MAX));
    }

    #[test]
    fn an_invalid_tag_is_refused_with_a_sentence_that_says_what_is_valid() {
        let many: Vec<String> = (0..=PlatformTags::MAX).map(|n| format!("k{n}=v")).collect();
        for (wrong, why) in [
            ("team", "is not key=value"),
            ("team=ai,", "is not key=value"),
            (",team=ai", "is not key=value"),
            ("=ai", "key of 1 to 128"),
            (&format!("{}=v", "k".repeat(129)), "key of 1 to 128"),
            ("te*am=ai", "key of 1 to 128"),
            ("größe=1", "key of 1 to 128"),
            (&format!("k={}", "v".repeat(257)), "value of at most 256"),
            ("a=b=c", "value of at most 256"),
            ("a=\"b\"", "value of at most 256"),
            ("aws:x=1", "AWS reserves"),
            ("AWS:x=1", "AWS reserves"),
            ("source=aws:organizations", "AWS reserves"),
            ("privategenai.dev/vpc=x", "the operator sets itself"),
            ("PrivateGenAI.dev/vpc=x", "the operator sets itself"),
            ("Name=x", "the operator sets itself"),
            ("team=a,Team=b", "of an earlier tag"),
            (&many.join(","), "at most 40"),
        ] {
            let error = read(wrong).expect_err(wrong);
            assert!(error.starts_with("the tag \"") && error.contains(why), "{wrong}: {error}");
        }
    }
}
