//! What happens to objects, to watches and to the API server itself, at several moments of each part of a life.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{
    cells::{Cell, ends_well},
    parts::{ANOTHER_MODEL, Life, Part},
};
use crate::{
    memory::kubernetes::{Fault, LEASES},
    scene::{LONG, MODEL, Scene, app, condition, writes},
};

/// How an app goes before it comes again under its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Going {
    /// The operator lets it go, and it comes again in that moment.
    LetGo,
    /// Somebody takes the finalizer off.
    Torn,
    /// The same, while the operator's watches tell nothing: all it ever sees is another object under the name.
    Unseen,
}

/// As what an app comes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Coming {
    Same,
    OtherModel,
    OtherVpc,
}

/// What somebody changes about an app that is being deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Edit {
    Models,
    Retain,
    Suspend,
    Labels,
}

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    WatchesBroken,
    HistoryForgotten,
    WatchesHeld,
    WatchesReplayed,
    ServerRestarted,
    ServerAway,
    StatusesWiped,
    NetworkDeleted,
    NamespaceDeleted,
    UnreadableApp,
    UnreadableNetwork,
    UnreadableBoth,
    Edited(Edit),
    Recreated { retain: bool, going: Going, coming: Coming },
}

impl Event {
    pub fn all() -> Vec<Self> {
        let mut all = vec![
            Self::WatchesBroken,
            Self::HistoryForgotten,
            Self::WatchesHeld,
            Self::WatchesReplayed,
            Self::ServerRestarted,
            Self::ServerAway,
            Self::StatusesWiped,
            Self::NetworkDeleted,
            Self::NamespaceDeleted,
            Self::UnreadableApp,
            Self::UnreadableNetwork,
            Self::UnreadableBoth,
        ];
        all.extend([Edit::Models, Edit::Retain, Edit::Suspend, Edit::Labels].map(Self::Edited));
        for retain in [false, true] {
            for going in [Going::LetGo, Going::Torn, Going::Unseen] {
                for coming in [Coming::Same, Coming::OtherModel, Coming::OtherVpc] {
                    all.push(Self::Recreated { retain, going, coming });
                }
            }
        }
        all
    }

    /// Events that are told alike: a sample holds one of each family in each part.
    pub fn family(self) -> String {
        match self {
            Self::WatchesBroken | Self::HistoryForgotten | Self::WatchesHeld | Self::WatchesReplayed => {
                "watches".into()
            }
            Self::ServerRestarted | Self::ServerAway => "server".into(),
            Self::StatusesWiped => "statuses".into(),
            Self::NetworkDeleted | Self::NamespaceDeleted => "deleted by others".into(),
            Self::UnreadableApp | Self::UnreadableNetwork | Self::UnreadableBoth => "unreadable".into(),
            Self::Edited(_) => "edited".into(),
            Self::Recreated { going, .. } => format!("recreated after {going:?}"),
        }
    }

    pub fn title(self) -> String {
        match self {
            Self::WatchesBroken => "watches break".into(),
            Self::HistoryForgotten => "watches break, and begin with a 410".into(),
            Self::WatchesHeld => "watches tell nothing for six minutes".into(),
            Self::WatchesReplayed => "watches tell the past again".into(),
            Self::ServerRestarted => "API server away for 5 s, and its history gone".into(),
            Self::ServerAway => "API server away for six minutes".into(),
            Self::StatusesWiped => "every status is wiped".into(),
            Self::NetworkDeleted => "the network's object is deleted".into(),
            Self::NamespaceDeleted => "the namespace is deleted, and comes again with the app".into(),
            Self::UnreadableApp => "the stored app cannot be read for six minutes".into(),
            Self::UnreadableNetwork => "the stored network cannot be read for six minutes".into(),
            Self::UnreadableBoth => "neither can be read for six minutes".into(),
            Self::Edited(edit) => format!("{edit:?} edited while it is being deleted"),
            Self::Recreated { retain, going, coming } => {
                let policy = if retain { "Retain" } else { "Delete" };
                format!("deleted ({policy}, {going:?}) and recreated as {coming:?}")
            }
        }
    }

    /// Why it cannot happen in a part.
    pub fn cannot(self, part: Part) -> Result<(), &'static str> {
        let is_unreadable = matches!(self, Self::UnreadableApp | Self::UnreadableNetwork | Self::UnreadableBoth);
        match self {
            _ if is_unreadable && part == Part::Unreadable => Err("the part itself"),
            // Nothing tells its VPC then: it says so, and goes with `deletionPolicy: Retain`.
            Self::StatusesWiped if part == Part::Unreadable => {
                Err("a network without a readable spec and without a status: see the tests of sharing")
            }
            Self::NetworkDeleted if matches!(part, Part::Handover | Part::Succession | Part::Unreadable) => {
                Err("a network that somebody wrote is held while it is in use: Succession is that part")
            }
            Self::Edited(_) if part == Part::Unreadable => {
                Err("an edit that mends it: see the rows of what cannot be read")
            }
            _ => Ok(()),
        }
    }
}

/// How long what lasts does: over a resync.
const LASTS: Duration = Duration::from_mins(6);

/// Until calls are counted while something lasts, and for how long.
const BEFORE: Duration = Duration::from_mins(3);
const COUNTED: Duration = Duration::from_mins(3);

/// Lives through it, once for each moment at which it happens: where an app comes or goes as that begins, when a third of it
/// is over, and two thirds; in the other parts when a third of them is over.
pub async fn live(part: Part, event: Event, lasts: Duration) -> Cell {
    let mut cell = Cell::default();
    let moments = if matches!(part, Part::Create | Part::Delete) { 0..3 } else { 1..2 };
    for moment in moments {
        let mut life = part.prepare().await;
        life.begin();
        sleep(lasts * moment / 3).await;
        let before = cell.problems.len();
        happen(&mut life, event, &mut cell).await;
        ends_well(life, &mut cell).await;
        for problem in cell.problems.iter_mut().skip(before) {
            *problem = format!("at moment {moment}: {problem}");
        }
    }
    cell
}

async fn happen(life: &mut Life, event: Event, cell: &mut Cell) {
    let kubernetes = life.scene.kubernetes.clone();
    match event {
        Event::WatchesBroken => kubernetes.break_watches(),
        Event::HistoryForgotten => {
            kubernetes.forget_history();
            kubernetes.break_watches();
        }
        Event::WatchesHeld => {
            kubernetes.hold_watches();
            lasts(life, cell).await;
            kubernetes.release_watches();
        }
        Event::WatchesReplayed => kubernetes.replay_watches(12),
        Event::ServerRestarted => {
            kubernetes.inject(Fault::disconnect().times(usize::MAX));
            kubernetes.forget_history();
            kubernetes.break_watches();
            sleep(Duration::from_secs(5)).await;
            kubernetes.clear_faults();
        }
        Event::ServerAway => {
            kubernetes.inject(Fault::disconnect().times(usize::MAX));
            kubernetes.break_watches();
            sleep(LASTS).await;
            kubernetes.clear_faults();
        }
        Event::StatusesWiped => {
            for path in [Some(app("bot")), life.network_path()].into_iter().flatten() {
                if kubernetes.get(&path).is_some() {
                    kubernetes.edit_status(&path, |status| *status = json!({}));
                }
            }
        }
        Event::NetworkDeleted => {
            if let Some(path) = life.network_path() {
                kubernetes.delete(&path);
            }
        }
        Event::NamespaceDeleted => {
            let wanted = life.wanted.app.clone();
            kubernetes.delete("namespaces/team-a");
            kubernetes.until_gone("namespaces/team-a", LONG).await;
            if let Some((vpc, spec)) = wanted {
                life.want(vpc, &spec);
            }
        }
        Event::UnreadableApp => unreadable(life, &[Some(app("bot"))], cell).await,
        Event::UnreadableNetwork => unreadable(life, &[life.network_path()], cell).await,
        Event::UnreadableBoth => unreadable(life, &[Some(app("bot")), life.network_path()], cell).await,
        Event::Edited(edit) => edited(life, edit).await,
        Event::Recreated { retain, going, coming } => recreated(life, retain, going, coming, cell).await,
    }
}

/// While it lasts, nobody is asked in haste, and nothing is written over and over.
async fn lasts(life: &Life, cell: &mut Cell) {
    sleep(BEFORE).await;
    life.scene.forget();
    sleep(COUNTED).await;
    let minutes = usize::try_from(COUNTED.as_secs() / 60).expect("a few minutes");
    let (kubernetes, aws) = (life.scene.kubernetes.take_journal(), life.scene.aws.take_journal());
    cell.count(minutes, kubernetes.iter().filter(|record| record.plural != LEASES).count(), aws.len());
    let written = writes(&aws);
    // Drift is put right at the resync, which comes meanwhile.
    if !written.is_empty() && life.part != Part::Drift {
        cell.problems.push(format!("while it lasts AWS is written to: {written:?}"));
    }
}

/// What is stored cannot be read: nothing of it goes, it says so, and it is mended then. One that is being deleted goes all
/// the same.
async fn unreadable(life: &mut Life, paths: &[Option<String>], cell: &mut Cell) {
    let kubernetes = life.scene.kubernetes.clone();
    let mut before = Vec::new();
    for path in paths.iter().flatten() {
        if let Some(object) = kubernetes.get(path) {
            life.make_unreadable(path);
            before.push((path, object));
        }
    }
    let functions = |scene: &Scene| scene.aws.world().regions[&Scene::region()].functions.len();
    let had = functions(&life.scene);
    lasts(life, cell).await;
    if life.wanted.app.is_some() && functions(&life.scene) < had {
        cell.problems.push("a function is gone although nobody asked for that".into());
    }
    for (path, object) in before {
        let Some(now) = kubernetes.get(path) else { continue };
        if now["metadata"]["uid"] != object["metadata"]["uid"] {
            continue;
        }
        let says = condition(&now, "Accepted");
        if says.1 != "InvalidSpec" && !now["metadata"]["deletionTimestamp"].is_string() {
            cell.problems.push(format!("{path} does not say that it cannot be read: {says:?}"));
        }
        kubernetes.overwrite(path, |now| now["spec"] = object["spec"].clone());
        // Whoever mends it counts as somebody who changed it.
        kubernetes.overwrite(path, |now| {
            let generation = now["metadata"]["generation"].as_u64().unwrap_or_default();
            now["metadata"]["generation"] = json!(generation + 1);
        });
    }
}

/// Somebody else holds the app, and it is edited while it goes.
async fn edited(life: &mut Life, edit: Edit) {
    let (kubernetes, bot) = (life.scene.kubernetes.clone(), app("bot"));
    if kubernetes.get(&bot).is_none() {
        return;
    }
    kubernetes.overwrite(&bot, |app| {
        let mut finalizers = app["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
        finalizers.push(json!("example.com/others"));
        app["metadata"]["finalizers"] = json!(finalizers);
    });
    life.want_nothing();
    for pause in [1, 20] {
        sleep(Duration::from_secs(pause)).await;
        if kubernetes.get(&bot).is_some() {
            kubernetes.edit(&bot, |app| match edit {
                Edit::Models => {
                    app["spec"]["models"] = json!([MODEL, ANOTHER_MODEL, format!("{ANOTHER_MODEL}{pause}")]);
                }
                Edit::Retain => app["spec"]["deletionPolicy"] = json!("Retain"),
                Edit::Suspend => app["spec"]["suspend"] = json!(true),
                Edit::Labels => app["metadata"]["labels"] = json!({"touched": pause.to_string()}),
            });
        }
    }
    // The others let it go only when it has been over for the operator for a while.
    sleep(Duration::from_mins(1)).await;
    if kubernetes.get(&bot).is_some() {
        kubernetes.drop_finalizers(&bot);
    }
    if edit == Edit::Retain && !life.scene.aws.world().roles.is_empty() {
        take_over(life).await;
    }
}

/// What was retained is applied again under its name, to be deleted: the remedy that its network tells.
async fn take_over(life: &mut Life) {
    let vpc = life.vpc.clone();
    life.want(vpc, &json!({"deletionPolicy": "Delete"}));
    let is_ready = |app: &Value| condition(app, "Ready").0 == "True";
    life.scene.kubernetes.until(&app("bot"), LONG, is_ready).await;
    sleep(Duration::from_secs(10)).await;
    life.want_nothing();
}

async fn recreated(life: &mut Life, retain: bool, going: Going, coming: Coming, cell: &mut Cell) {
    let (kubernetes, bot) = (life.scene.kubernetes.clone(), app("bot"));
    // On its way out, or gone already.
    let is_going = matches!(life.part, Part::Delete | Part::Unreadable)
        || kubernetes.get(&bot).is_some_and(|app| app["metadata"]["deletionTimestamp"].is_string());
    if kubernetes.get(&bot).is_some() {
        if going == Going::Unseen {
            kubernetes.hold_watches();
        }
        if retain {
            kubernetes.edit(&bot, |app| app["spec"]["deletionPolicy"] = json!("Retain"));
        }
        if kubernetes.get(&bot).is_some_and(|app| !app["metadata"]["deletionTimestamp"].is_string()) {
            kubernetes.delete(&bot);
        }
        match going {
            Going::LetGo => life.scene.until_gone("bot").await,
            Going::Torn | Going::Unseen if kubernetes.get(&bot).is_some() => kubernetes.drop_finalizers(&bot),
            Going::Torn | Going::Unseen => {}
        }
    }
    let vpc = if coming == Coming::OtherVpc { life.elsewhere.clone() } else { life.vpc.clone() };
    let models = if coming == Coming::OtherModel { json!([ANOTHER_MODEL]) } else { json!([MODEL]) };
    let world = life.scene.aws.world();
    let old: Vec<_> = world.regions[&Scene::region()].functions.keys().cloned().collect();
    life.want(vpc, &json!({"models": models}));
    if going == Going::Unseen {
        kubernetes.forget_history();
        kubernetes.break_watches();
        kubernetes.release_watches();
    }
    if coming != Coming::OtherVpc || world.roles.is_empty() || (going == Going::LetGo && !retain) {
        return;
    }
    // What the first one left in the first VPC has no object here any more: it stays, and its network says for whom it is
    // kept. Somebody who wants it gone applies it again there, and deletes it.
    let is_ready = |app: &Value| condition(app, "Ready").0 == "True";
    kubernetes.until(&bot, LONG, is_ready).await;
    sleep(LASTS).await;
    let now = life.scene.aws.world().regions[&Scene::region()].functions.clone();
    if !is_going && !old.iter().all(|name| now.contains_key(name)) {
        cell.problems.push("what the first app left in the first VPC is gone".into());
    }
    let kept = life.network_path().and_then(|path| kubernetes.get(&path)).unwrap_or_default();
    // By its role where that lost the tags that name the app.
    let named = ["team-a/bot", "the app of role pgai-team-a-bot-"];
    let is_kept = named.iter().any(|name| condition(&kept, "Accepted").2.contains(name));
    if !is_kept && is_going {
        // It was on its way out: nothing was to stay.
        return;
    }
    if !is_kept {
        cell.problems
            .push(format!("nobody says for whom the first network is kept: {:?}", condition(&kept, "Accepted")));
    }
    let deleted = Instant::now();
    life.want_nothing();
    life.scene.until_gone("bot").await;
    sleep(Duration::from_mins(2)).await;
    let now = life.scene.aws.world().regions[&Scene::region()].functions.clone();
    if retain && !is_going && going == Going::LetGo && !old.iter().all(|name| now.contains_key(name)) {
        cell.problems.push(format!(
            "what was retained in the first VPC went with an app of its name in another one, {} s after",
            deleted.elapsed().as_secs()
        ));
    }
    take_over(life).await;
    cell.note = Some("kept, told, and gone once it was applied there again and deleted".into());
}

/// How long a part takes when nothing happens.
pub async fn undisturbed(part: Part) -> Duration {
    let mut life = part.prepare().await;
    life.begin();
    life.until_through(LONG).await.unwrap_or_else(|wrong| panic!("{part:?} does not end: {wrong}"))
}
