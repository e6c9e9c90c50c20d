//! IAM roles and policy documents.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use crate::ids::{RoleName, Tags};

/// An IAM policy document in one canonical spelling: two documents that differ only in the order of keys or in white space are
/// equal. A copy shares the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyDocument(Arc<str>);

impl PolicyDocument {
    /// The canonical document for a JSON value.
    pub fn new(document: &serde_json::Value) -> Self {
        Self(document.to_string().into())
    }

    /// Reads AWS's answer. A text that is not JSON is kept unchanged: it differs from every document of ours.
    pub fn from_wire(text: &str) -> Self {
        serde_json::from_str::<serde_json::Value>(text).map_or_else(|_| Self(text.into()), |value| Self::new(&value))
    }

    /// The document as compact JSON; AWS's limits count its characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PolicyDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An IAM role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct Role {
    pub name: RoleName,
    /// The unique id (`AROA…`). A recreated role of the same name has another id: it is another principal (IAM User Guide, "IAM
    /// identifiers").
    pub id: String,
    /// Its ARN, path included.
    pub arn: String,
    pub trust_policy: PolicyDocument,
    /// Its inline policies by name.
    pub inline_policies: BTreeMap<String, PolicyDocument>,
    /// The ARNs of the managed policies attached to it.
    pub attached_policies: BTreeSet<String>,
    /// The ARN of the managed policy that limits its permissions.
    pub permissions_boundary: Option<String>,
    pub tags: Tags,
}

/// An IAM role in a listing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct RoleListing {
    pub name: RoleName,
    /// Its unique id, as [`Role::id`].
    pub id: String,
    /// Its ARN, path included.
    pub arn: String,
    pub trust_policy: PolicyDocument,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_equal_whatever_the_order_of_their_keys_and_the_white_space() {
        let ours = PolicyDocument::new(&serde_json::json!({"Version": "2012-10-17", "Statement": []}));
        assert_eq!(ours, PolicyDocument::from_wire("{ \"Statement\": [],\n \"Version\":\"2012-10-17\" }"));
        assert_ne!(ours, PolicyDocument::from_wire("{\"Statement\": [{}], \"Version\": \"2012-10-17\"}"));
        assert_ne!(ours, PolicyDocument::from_wire("not json"));
    }
}
