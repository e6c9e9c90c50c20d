//! What differs from life to life, and what it is called here.

/// Ids and names of one life, and what each is called in all of them.
#[derive(Clone, Debug, Default)]
pub struct Names(Vec<(String, String)>);

impl Names {
    /// From now on `what` is called `name`, and nothing else is: what was called so before is the former one.
    pub fn learn(&mut self, what: &str, name: &str) {
        self.0.retain(|(known, _)| known != what);
        for (_, called) in self.0.iter_mut().filter(|(_, called)| called == name) {
            *called = format!("former {name}");
        }
        self.0.push((what.to_owned(), name.to_owned()));
        // What contains another one is told first.
        self.0.sort_by_key(|(known, _)| std::cmp::Reverse(known.len()));
    }

    /// All of these are called `name`: nothing tells them apart.
    pub fn learn_all(&mut self, all: &[String], name: &str) {
        self.0.extend(all.iter().map(|what| (what.clone(), name.to_owned())));
    }

    /// A text without what differs.
    pub fn plain(&self, text: &str) -> String {
        const LABEL: usize = 8;
        let text = self.0.iter().fold(text.to_owned(), |text, (what, name)| text.replace(what, name));
        // The DNS names of an endpoint bear a random label besides its id.
        let mut parts = text.split("https://endpoint-");
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |plain, part| plain + "https://endpoint" + part.get(LABEL..).unwrap_or_default())
    }
}
