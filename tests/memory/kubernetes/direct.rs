//! A test's changes of the server's objects without HTTP: no request is recorded, and no fault hits.

use serde_json::{Value, json};

use super::{
    ApiServer,
    kinds::{Key, Kind, Part},
    patch::Apply,
    refusal::Refusal,
    rules::Preconditions,
    selector::Selector,
    store::{Object, Store},
};

/// The field manager of a test's user.
const MANAGER: &str = "kubectl";

/// Objects are addressed by `plural/namespace/name`, or `plural/name` for a cluster-scoped kind.
impl ApiServer {
    /// Applies an object like `kubectl apply --server-side`.
    ///
    /// # Panics
    /// The object is refused.
    #[track_caller]
    pub fn apply(&self, object: Value) -> Value {
        self.try_apply(object).unwrap_or_else(|refusal| panic!("{refusal}"))
    }

    /// # Panics
    /// The server does not have the object's kind.
    #[track_caller]
    pub fn try_apply(&self, object: Value) -> Result<Value, Refusal> {
        let kind =
            Kind::of(&object).unwrap_or_else(|| panic!("kinds.rs has no {} {}", object["apiVersion"], object["kind"]));
        let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default();
        let namespace = match (kind.namespaced, text("namespace")) {
            (true, "") => "default",
            (_, namespace) => namespace,
        };
        let key = Key::new(kind, namespace, text("name"));
        let apply = Apply { object, manager: MANAGER.to_owned(), force: true };
        let now = self.now();
        self.change(|state| state.store.apply(&key, Part::Main, &apply, now)).map(|object| copy(&object))
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Option<Value> {
        let key = Key::parse(path);
        self.state().store.get(&key).ok().map(|object| copy(&object))
    }

    /// All objects of a resource, by namespace and name.
    #[track_caller]
    pub fn list(&self, plural: &str) -> Vec<Value> {
        let kind = Kind::by_plural(plural).unwrap_or_else(|| panic!("kinds.rs has no {plural}"));
        self.state().store.list(kind, None, &Selector::default()).map(copy).collect()
    }

    /// Changes an object like `kubectl edit`.
    ///
    /// # Panics
    /// The object does not exist, or the change is refused.
    #[track_caller]
    pub fn edit(&self, path: &str, edit: impl FnOnce(&mut Value)) -> Value {
        self.edit_with(path, edit, |store, key, object| store.update(key, Part::Main, object))
    }

    /// Changes only an object's status.
    ///
    /// # Panics
    /// The object does not exist, or the change is refused.
    #[track_caller]
    pub fn edit_status(&self, path: &str, edit: impl FnOnce(&mut Value)) -> Value {
        let edit = |object: &mut Value| edit(&mut object["status"]);
        self.edit_with(path, edit, |store, key, object| store.update(key, Part::Status, object))
    }

    /// Changes an object without any rule, as if it had been stored under other rules.
    ///
    /// # Panics
    /// The object does not exist.
    #[track_caller]
    pub fn overwrite(&self, path: &str, edit: impl FnOnce(&mut Value)) -> Value {
        self.edit_with(path, edit, Store::overwrite)
    }

    #[track_caller]
    fn edit_with(
        &self,
        path: &str,
        edit: impl FnOnce(&mut Value),
        write: impl FnOnce(&mut Store, &Key, Value) -> Result<Object, Refusal>,
    ) -> Value {
        let key = Key::parse(path);
        let edited = self.change(|state| {
            let mut object = copy(&state.store.get(&key)?);
            edit(&mut object);
            write(&mut state.store, &key, object)
        });
        copy(&edited.unwrap_or_else(|refusal| panic!("{refusal}")))
    }

    /// Removes a finalizer from an object, like a person who is tired of waiting.
    ///
    /// # Panics
    /// The object does not exist.
    #[track_caller]
    pub fn drop_finalizers(&self, path: &str) {
        self.edit(path, |object| object["metadata"]["finalizers"] = json!([]));
    }

    /// Deletes an object: at once, or after its finalizers.
    ///
    /// # Panics
    /// The object does not exist.
    #[track_caller]
    pub fn delete(&self, path: &str) {
        let (key, now) = (Key::parse(path), self.now());
        let deleted = self.change(|state| state.store.delete(&key, &Preconditions::default(), now));
        if let Err(refusal) = deleted {
            panic!("{refusal}");
        }
    }
}

fn copy(object: &Object) -> Value {
    Value::clone(object)
}
