//! What the judges find and what is as it should be: listed one by one, each with the reason.

use serde::{Deserialize, Serialize};

use crate::{Finding, Judge, written::Family};

/// The list.
pub struct Accepted(Vec<Entry>);

/// Findings of one kind in statements of one name, for one reason.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    judge: Judge,
    policies: Vec<Family>,
    statement: String,
    issue: String,
    why: String,
    about: Vec<String>,
}

impl Accepted {
    /// As it is committed.
    pub fn read() -> Self {
        let entries: Vec<Entry> = serde_json::from_str(include_str!("accepted.json")).expect("a list of entries");
        for entry in &entries {
            assert!(entry.why.len() > 20, "{} {} has no reason", entry.statement, entry.issue);
        }
        Self(entries)
    }

    /// The finding is in the list.
    pub fn covers(&self, finding: &Finding) -> bool {
        self.0.iter().flat_map(Entry::findings).any(|accepted| accepted == *finding)
    }

    /// What is in the list, and is found no more.
    pub fn outdated<'a>(&self, found: impl Iterator<Item = &'a Finding>) -> Vec<Finding> {
        let found: Vec<&Finding> = found.collect();
        self.0.iter().flat_map(Entry::findings).filter(|accepted| !found.contains(&accepted)).collect()
    }
}

impl Entry {
    fn findings(&self) -> impl Iterator<Item = Finding> {
        let each = self.policies.iter().flat_map(|family| self.about.iter().map(move |about| (family, about)));
        each.map(|(family, about)| Finding {
            judge: self.judge,
            family: *family,
            statement: self.statement.clone(),
            issue: self.issue.clone(),
            about: about.clone(),
        })
    }
}

/// Entries for findings that are not in the list, as they would be in there: whoever accepts them writes why.
pub fn proposed<'a>(findings: impl Iterator<Item = &'a Finding>) -> String {
    let mut entries: Vec<Entry> = Vec::new();
    for Finding { judge, family, statement, issue, about } in findings {
        let same = |it: &&mut Entry| {
            (it.judge, &it.policies[..], &it.statement, &it.issue) == (*judge, &[*family], statement, issue)
        };
        if let Some(entry) = entries.iter_mut().find(same) {
            entry.about.push(about.clone());
            continue;
        }
        entries.push(Entry {
            judge: *judge,
            policies: vec![*family],
            statement: statement.clone(),
            issue: issue.clone(),
            why: String::new(),
            about: vec![about.clone()],
        });
    }
    serde_json::to_string_pretty(&entries).expect("JSON")
}
