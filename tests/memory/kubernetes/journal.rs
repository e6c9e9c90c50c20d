//! The requests to the server, in the order of their answers.

use std::{fmt, ops::Deref};

use super::kinds::{EVENTS, LEASES};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
}

impl Verb {
    pub fn writes(self) -> bool {
        matches!(self, Verb::Create | Verb::Update | Verb::Patch | Verb::Delete)
    }
}

/// One request over HTTP. A test's own calls of [`ApiServer`](super::ApiServer) are not recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub verb: Verb,
    pub plural: &'static str,
    pub subresource: Option<&'static str>,
    /// Empty for cluster-scoped resources, and for lists and watches across namespaces.
    pub namespace: String,
    /// Empty for lists and watches.
    pub name: String,
    /// `None`: the connection broke, or the answer never came.
    pub status: Option<u16>,
}

impl fmt::Display for Call {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", format!("{:?}", self.verb).to_lowercase(), self.plural)?;
        let parts = [Some(self.namespace.as_str()), Some(self.name.as_str()), self.subresource];
        for part in parts.into_iter().flatten().filter(|part| !part.is_empty()) {
            write!(out, "/{part}")?;
        }
        match self.status {
            Some(status) => write!(out, " {status}"),
            None => write!(out, " unanswered"),
        }
    }
}

/// Calls in order. As text they are one line a call, so that a wrong count shows the calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Journal(pub Vec<Call>);

impl Journal {
    /// Requests for a change, with or without effect. Events and Leases are counted apart: Events are no state, and Leases are
    /// renewed as long as the operator lives.
    pub fn writes(&self) -> Journal {
        self.only(|call| call.verb.writes() && call.plural != EVENTS && call.plural != LEASES)
    }

    pub fn events(&self) -> Journal {
        self.only(|call| call.verb.writes() && call.plural == EVENTS)
    }

    pub fn leases(&self) -> Journal {
        self.only(|call| call.verb.writes() && call.plural == LEASES)
    }

    pub fn only(&self, wanted: impl Fn(&Call) -> bool) -> Journal {
        Journal(self.0.iter().filter(|call| wanted(call)).cloned().collect())
    }
}

impl Deref for Journal {
    type Target = [Call];

    fn deref(&self) -> &[Call] {
        &self.0
    }
}

impl fmt::Display for Journal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|call| writeln!(out, "  {call}"))
    }
}
