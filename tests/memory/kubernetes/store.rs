//! The objects, their history, and the rules of writes. Plain data: time is an argument, ids are counted, and the same calls in
//! the same order give the same store.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    kinds::{Key, Kind, NAMESPACES, Part},
    patch::{self, Apply, Patch},
    refusal::{self, Refusal},
    rules::{self, Preconditions, Rules},
    selector::Selector,
};

/// Objects are shared with the history, and never changed in place.
pub type Object = Arc<Value>;

/// One write that was done. Watches replay these.
#[derive(Clone, Debug)]
pub struct Change {
    pub version: u64,
    pub key: Key,
    pub before: Option<Object>,
    pub after: Option<Object>,
}

/// The result of a deletion.
#[derive(Clone, Debug)]
pub enum Deletion {
    Gone(Object),
    /// Finalizers hold the object.
    Marked(Object),
}

pub struct Store {
    objects: BTreeMap<Key, Object>,
    history: Vec<Change>,
    /// The last resource version; zero has its own meaning.
    version: u64,
    /// No watch can start at an older version than this.
    forgotten: u64,
    uids: u64,
    rules: Rules,
}

impl Store {
    pub fn new(rules: Rules) -> Store {
        Store { objects: BTreeMap::new(), history: Vec::new(), version: 1, forgotten: 0, uids: 0, rules }
    }

    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn get(&self, key: &Key) -> Result<Object, Refusal> {
        self.objects.get(key).cloned().ok_or_else(|| refusal::not_found(key))
    }

    /// In the order of their keys.
    pub fn list<'a>(
        &'a self,
        kind: &'static Kind,
        namespace: Option<&'a str>,
        selector: &'a Selector,
    ) -> impl Iterator<Item = &'a Object> {
        let wanted = move |key: &Key| key.kind == kind && namespace.is_none_or(|namespace| key.namespace == namespace);
        let found = self.objects.iter().filter(move |(key, object)| wanted(key) && selector.matches(object));
        found.map(|(_, object)| object)
    }

    /// The changes after a version.
    pub fn changes_after(&self, version: u64) -> &[Change] {
        let first = self.history.partition_point(|change| change.version <= version);
        &self.history[first..]
    }

    /// The version before the last `changes`.
    pub fn version_before(&self, changes: usize) -> u64 {
        let first = self.history.len().saturating_sub(changes);
        self.history.get(first).map_or(self.version, |change| change.version - 1)
    }

    /// All changes after a version are still known.
    pub fn remembers(&self, version: u64) -> bool {
        version >= self.forgotten
    }

    /// Forgets the history: a watch can start only at the current version.
    pub fn forget_history(&mut self) {
        self.forgotten = self.version;
    }

    pub fn create(
        &mut self,
        kind: &'static Kind,
        namespace: &str,
        mut object: Value,
        now: Timestamp,
    ) -> Result<Object, Refusal> {
        rules::name(&mut object, self.uids)?;
        let key = Key::new(kind, namespace, object["metadata"]["name"].as_str().unwrap_or_default());
        rules::fits(&key, &object)?;
        if self.objects.contains_key(&key) {
            return Err(refusal::already_exists(&key));
        }
        if kind.namespaced {
            self.enter_namespace(&key, now)?;
        }
        let mut object = rules::born(&key, object, self.uids + 1, now);
        self.rules.complete(&key, &mut object);
        self.rules.admit(&key, None, &object)?;
        self.uids += 1;
        Ok(self.keep(&key, None, object))
    }

    /// Creates the namespace of a first object. In a namespace that is being deleted, no object can be created.
    fn enter_namespace(&mut self, key: &Key, now: Timestamp) -> Result<(), Refusal> {
        match self.objects.get(&Key::new(namespaces(), "", &key.namespace)) {
            Some(namespace) if rules::is_deleting(namespace) => Err(refusal::terminating(key)),
            Some(_) => Ok(()),
            None => {
                let labels = json!({"kubernetes.io/metadata.name": key.namespace});
                let namespace = json!({"metadata": {"name": key.namespace, "labels": labels}});
                self.create(namespaces(), "", namespace, now).map(drop)
            }
        }
    }

    /// Replaces one part of an object by the sent one.
    pub fn update(&mut self, key: &Key, part: Part, sent: Value) -> Result<Object, Refusal> {
        let current = self.get(key)?;
        rules::fits(key, &sent)?;
        let mut next = rules::next(key, part, &current, sent)?;
        next["metadata"]["managedFields"] = patch::owners_after(&current, &next);
        self.write(key, current, next)
    }

    pub fn patch(&mut self, key: &Key, part: Part, patch: &Patch) -> Result<Object, Refusal> {
        let sent = patch.patched(key, &*self.get(key)?)?;
        self.update(key, part, sent)
    }

    /// Server-side apply, which creates a missing object.
    pub fn apply(&mut self, key: &Key, part: Part, apply: &Apply, now: Timestamp) -> Result<Object, Refusal> {
        rules::fits(key, &apply.object)?;
        match self.get(key) {
            Ok(current) => {
                let sent = patch::applied(key, part, &current, apply)?;
                let managed = sent["metadata"]["managedFields"].clone();
                let mut next = rules::next(key, part, &current, sent)?;
                next["metadata"]["managedFields"] = managed;
                self.write(key, current, next)
            }
            Err(_) if part == Part::Main => {
                let object = patch::applied(key, part, &rules::blank(key), apply)?;
                rules::unmet(key, &object, None)?;
                self.create(key.kind, &key.namespace, object, now)
            }
            Err(absent) => Err(absent),
        }
    }

    /// Deletes an object, or marks an object that finalizers hold.
    pub fn delete(&mut self, key: &Key, only_if: &Preconditions, now: Timestamp) -> Result<Deletion, Refusal> {
        let current = self.get(key)?;
        rules::preconditions(key, &current, only_if)?;
        if key.kind.plural == NAMESPACES {
            self.empty_namespace(key, now)?;
        }
        let held = key.kind.plural == NAMESPACES && self.holds_any(&key.name);
        if rules::finalizers(&current).is_empty() && !held {
            self.drop_object(key, &current);
            return Ok(Deletion::Gone(current));
        }
        if rules::is_deleting(&current) {
            return Ok(Deletion::Marked(current));
        }
        let marked = rules::marked(&current, now);
        Ok(Deletion::Marked(self.keep(key, Some(current), marked)))
    }

    /// Deletes the objects of a namespace. An object that finalizers hold also holds the namespace.
    fn empty_namespace(&mut self, key: &Key, now: Timestamp) -> Result<(), Refusal> {
        let within = |other: &&Key| other.namespace == key.name;
        let contents: Vec<Key> = self.objects.keys().filter(within).cloned().collect();
        contents.iter().try_for_each(|key| self.delete(key, &Preconditions::default(), now).map(drop))
    }

    /// Deletes a namespace that is being deleted with its last object.
    fn leave_namespace(&mut self, namespace: &str) {
        let key = Key::new(namespaces(), "", namespace);
        if !self.holds_any(namespace)
            && let Ok(current) = self.get(&key)
            && rules::is_deleting(&current)
            && rules::finalizers(&current).is_empty()
        {
            self.drop_object(&key, &current);
        }
    }

    fn holds_any(&self, namespace: &str) -> bool {
        self.objects.keys().any(|key| key.namespace == namespace)
    }

    /// Stores an object without any rule, as if under other rules.
    pub fn overwrite(&mut self, key: &Key, object: Value) -> Result<Object, Refusal> {
        let current = self.get(key)?;
        Ok(self.keep(key, Some(current), object))
    }

    fn write(&mut self, key: &Key, current: Object, mut next: Value) -> Result<Object, Refusal> {
        self.rules.complete(key, &mut next);
        rules::count_generation(key, &current, &mut next);
        if rules::is_deleting(&next) && rules::finalizers(&next).is_empty() {
            self.drop_object(key, &current);
            return Ok(Arc::new(next));
        }
        if next == *current {
            return Ok(current);
        }
        self.rules.admit(key, Some(&current), &next)?;
        Ok(self.keep(key, Some(current), next))
    }

    fn keep(&mut self, key: &Key, before: Option<Object>, mut object: Value) -> Object {
        self.version += 1;
        rules::set_version(&mut object, self.version);
        let after = Arc::new(object);
        self.objects.insert(key.clone(), Arc::clone(&after));
        self.history.push(Change { version: self.version, key: key.clone(), before, after: Some(Arc::clone(&after)) });
        after
    }

    fn drop_object(&mut self, key: &Key, current: &Object) {
        self.version += 1;
        self.objects.remove(key);
        let before = Some(Arc::clone(current));
        self.history.push(Change { version: self.version, key: key.clone(), before, after: None });
        if key.kind.namespaced {
            self.leave_namespace(&key.namespace);
        }
    }
}

fn namespaces() -> &'static Kind {
    Kind::by_plural(NAMESPACES).expect("kinds.rs has it")
}
