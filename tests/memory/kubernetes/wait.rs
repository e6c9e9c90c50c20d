//! Waiting for a state of the server: each change wakes the waiter, and a moment of virtual time ends the wait.

use std::{panic::Location, time::Duration};

use serde_json::Value;

use super::{ApiServer, Journal, State, kinds::Key};

impl ApiServer {
    /// Waits until an object exists and the condition is true for it.
    ///
    /// # Panics
    /// The time is over. The message shows the object and the last requests.
    #[track_caller]
    pub fn until(
        &self,
        path: &str,
        within: Duration,
        condition: impl Fn(&Value) -> bool,
    ) -> impl Future<Output = Value> {
        let (key, path) = (Key::parse(path), path.to_owned());
        let met = move |state: &State| {
            let object = state.store.get(&key).ok()?;
            condition(&object).then(|| Value::clone(&object))
        };
        let shown = move |server: &ApiServer| match server.get(&path) {
            Some(object) => format!("{path} still is {object:#}"),
            None => format!("there still is no {path}"),
        };
        self.wait(within, met, shown)
    }

    /// Waits until the object does not exist.
    ///
    /// # Panics
    /// The object still exists after that time.
    #[track_caller]
    pub fn until_gone(&self, path: &str, within: Duration) -> impl Future<Output = ()> {
        let (key, path) = (Key::parse(path), path.to_owned());
        let met = move |state: &State| state.store.get(&key).is_err().then_some(());
        let shown = move |server: &ApiServer| format!("there still is {:#}", server.get(&path).unwrap_or_default());
        self.wait(within, met, shown)
    }

    /// Waits until the condition is true for the requests so far.
    ///
    /// # Panics
    /// The condition is still false after that time.
    #[track_caller]
    pub fn until_asked(&self, within: Duration, condition: impl Fn(&Journal) -> bool) -> impl Future<Output = ()> {
        let met = move |state: &State| condition(&state.journal).then_some(());
        self.wait(within, met, |_| "the requests are not the expected ones".to_owned())
    }

    /// Waits until every injected fault has hit.
    ///
    /// # Panics
    /// Some faults have not hit after that time.
    #[track_caller]
    pub fn until_faults_hit(&self, within: Duration) -> impl Future<Output = ()> {
        let met = |state: &State| (state.faults.left() == 0).then_some(());
        self.wait(within, met, |server| format!("{} faults are still to come", server.faults_left()))
    }

    #[track_caller]
    fn wait<T>(
        &self,
        within: Duration,
        met: impl Fn(&State) -> Option<T>,
        shown: impl FnOnce(&ApiServer) -> String,
    ) -> impl Future<Output = T> {
        let caller = Location::caller();
        let server = self.clone();
        let mut signal = self.signal();
        async move {
            let met = async {
                loop {
                    // The signal is marked as seen before the state is read, so that no change in between is missed.
                    signal.borrow_and_update();
                    let found = met(&server.state());
                    if let Some(found) = found {
                        return found;
                    }
                    signal.changed().await.expect("this very handle keeps the sender alive");
                }
            };
            tokio::time::timeout(within, met).await.unwrap_or_else(|_| {
                panic!("{caller}: after {within:?}, {}. Requests:\n{}", shown(&server), server.journal())
            })
        }
    }
}
