//! Changes of Lambda: functions, their code and their tags.

use std::{collections::BTreeSet, fmt};

use super::super::{
    facts::{Architecture, FunctionConfiguration, Setting, Tags},
    ids::FunctionName,
};

/// One mutating call of Lambda. Each variant has the name of its operation.
///
/// After an update the function is updating until its last update status says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are those of the operation and of its parameters")]
pub enum LambdaWrite {
    CreateFunction(NewFunction),
    UpdateFunctionConfiguration {
        name: FunctionName,
        /// The whole configuration.
        configuration: FunctionConfiguration,
        /// The settings to put back to the values of a new function. A setting that is not sent stays as it was.
        reset: BTreeSet<Setting>,
    },
    UpdateFunctionCode {
        name: FunctionName,
        package: Package,
        architecture: Architecture,
    },
    /// Deletes all versions.
    DeleteFunction {
        name: FunctionName,
    },
    TagResource {
        /// The function's ARN.
        arn: String,
        tags: Tags,
    },
}

/// A function to create.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are those of the parameters of CreateFunction")]
pub struct NewFunction {
    /// Unique in the account and region.
    pub name: FunctionName,
    pub description: String,
    pub configuration: FunctionConfiguration,
    pub architecture: Architecture,
    pub package: Package,
    pub tags: Tags,
}

/// A deployment package: a zip file and the hash by which Lambda reports it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Package {
    zip: Vec<u8>,
    sha256: String,
}

impl Package {
    /// A package of this zip file.
    pub fn new(zip: Vec<u8>) -> Self {
        use base64::Engine as _;
        use sha2::Digest as _;
        let sha256 = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(&zip));
        Self { zip, sha256 }
    }

    /// The bytes of the zip file.
    pub fn zip(&self) -> &[u8] {
        &self.zip
    }

    /// Base64 of the SHA-256 of the zip file: what Lambda shows as `CodeSha256`.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

impl fmt::Debug for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Package({}, {} bytes)", self.sha256, self.zip.len())
    }
}
