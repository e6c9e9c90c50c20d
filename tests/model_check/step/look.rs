//! A look at AWS through the operator's own tables.

use std::{sync::Arc, time::Duration};

use futures::executor::block_on;
use private_genai_operator::{
    api::network::NetworkKey,
    app,
    aws::{AwsError, Snapshot, Snapshots, Write},
    engine::{Freshness, Settings},
    identity::AppIdentity,
    network,
};

use super::{
    super::{
        scenario::Scenario,
        state::{Operator, State, Subject},
    },
    caller, network_identity,
};
use crate::memory::{
    aws::{self, MemoryAws},
    judge::{installation, region},
};

/// How old what a table keeps is at least when it is looked at again, other than by who read it.
const AGED: Duration = Duration::from_mins(1);

/// Looks at AWS through the operator's own snapshot, which keeps what it kept before.
pub(super) fn with_snapshot<T>(
    operator: &mut Operator,
    world: &Arc<aws::World>,
    key: Option<&NetworkKey>,
    look: impl AsyncFnOnce(&Snapshot) -> Result<T, AwsError>,
) -> T {
    let aws = Arc::new(MemoryAws::of(Arc::clone(world)));
    let snapshots = Snapshots::new(aws, installation(), region());
    let snapshot = snapshots.region(&region());
    for vpc in &operator.covered {
        snapshot.include_vpc(vpc);
    }
    snapshot.restore((*operator.kept).clone(), AGED);
    if let Some(key) = key {
        snapshot.include_vpc(&key.vpc);
        operator.covered.insert(key.vpc.clone());
    }
    let seen = block_on(look(&snapshot)).expect("nothing makes a look fail here");
    let kept = snapshot.state();
    if kept != *operator.kept {
        operator.kept = Arc::new(kept);
    }
    seen
}

/// Forgets what a write made stale.
pub(super) fn forget(operator: &mut Operator, write: &Write, error: Option<&AwsError>) {
    let nothing = Arc::new(aws::World::new(caller().account, aws::Delays::default()));
    with_snapshot(operator, &nothing, None, async |snapshot| {
        snapshot.forget(write, error);
        Ok(())
    });
}

impl Scenario {
    pub(super) fn look_at_network(
        &self,
        next: &mut State,
        number: usize,
        subject: &Subject,
        fresh: &Freshness,
        ends: bool,
    ) -> network::Observed {
        let (Subject::Network { key, .. } | Subject::AfterNetwork(key)) = subject else {
            panic!("only networks are looked at so");
        };
        let world = Arc::clone(&next.world);
        let operator = &mut next.operators[number];
        let mut memory = operator.memory.clone();
        let observed = with_snapshot(operator, &world, Some(key), async |snapshot| {
            let long = |interfaces: &network::Interfaces| memory.long_available(key, interfaces);
            network::observe(snapshot, &network_identity(key), ends, fresh, long).await
        });
        operator.memory = memory;
        observed
    }
}

pub(super) fn look_at_remains(
    operator: &mut Operator,
    world: &Arc<aws::World>,
    identity: &AppIdentity,
    fresh: &Freshness,
    settings: &Settings,
) -> app::Observed {
    let key = NetworkKey { region: identity.region.clone(), vpc: identity.vpc.clone() };
    with_snapshot(operator, world, None, async |snapshot| {
        app::observe_remains(snapshot, identity, &network_identity(&key), fresh, settings).await
    })
}
