//! Why a reconcile could not be finished: one variant for each action on the Kubernetes API.

use kube::core::Status;

use super::in_words;

/// Why a reconcile could not be finished. Errors of AWS do not end a reconcile: they become conditions.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each field is what its name says; `object` is the kind, the namespace and the name")]
pub enum Error {
    /// An object could not be read.
    #[error("could not read {object}: {}", in_words(cause))]
    Read { object: String, cause: kube::Error },
    /// An object could not be created.
    #[error("could not create {object}: {}", in_words(cause))]
    Create { object: String, cause: kube::Error },
    /// The finalizers of an object could not be changed.
    #[error("could not change the finalizers of {object}: {}", in_words(cause))]
    Finalizers { object: String, cause: kube::Error },
    /// The status of an object could not be written.
    #[error("could not write the status of {object}: {}", in_words(cause))]
    Status { object: String, cause: kube::Error },
    /// An object could not be deleted.
    #[error("could not delete {object}: {}", in_words(cause))]
    Delete { object: String, cause: kube::Error },
    /// A status has no JSON, which would be a bug of the serialiser.
    #[error("could not serialise the status of {object}: {cause}")]
    Serialise { object: String, cause: serde_json::Error },
}

impl Error {
    /// The answer of the Kubernetes API, if it gave one.
    pub fn status(&self) -> Option<&Status> {
        match self {
            Self::Read { cause, .. }
            | Self::Create { cause, .. }
            | Self::Finalizers { cause, .. }
            | Self::Status { cause, .. }
            | Self::Delete { cause, .. } => match cause {
                kube::Error::Api(status) => Some(status),
                _ => None,
            },
            Self::Serialise { .. } => None,
        }
    }

    /// The object changed since it was read.
    pub fn is_conflict(&self) -> bool {
        self.status().is_some_and(Status::is_conflict)
    }
}
