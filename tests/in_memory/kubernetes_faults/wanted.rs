//! What somebody asked for last, and what AWS looks like once it is true.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use private_genai_operator::aws::VpcId;
use serde_json::Value;

use super::run;
use crate::{
    drift::shape,
    memory::aws::{Delays, VpcShape},
    scene::Scene,
};

/// What somebody asked for last.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The app: where, and what.
    pub app: Option<(VpcId, Value)>,
    /// The network that somebody wrote for the first VPC and that is to stand for it.
    pub network: Option<String>,
}

impl Wanted {
    pub fn nothing() -> Self {
        Self { app: None, network: None }
    }

    /// What AWS looks like when nothing but this app was ever asked for, and nothing failed: what every life has to
    /// lead to, whatever happened on the way.
    pub fn shape(vpc: &VpcId, spec: &Value) -> BTreeSet<String> {
        static SHAPES: Mutex<BTreeMap<String, BTreeSet<String>>> = Mutex::new(BTreeMap::new());
        let what = format!("{vpc} {spec}");
        let known = || SHAPES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shape) = known().get(&what) {
            return shape.clone();
        }
        let (vpc, spec) = (vpc.clone(), spec.clone());
        // On a thread of its own, because its clock is another one.
        let undisturbed = std::thread::spawn(move || {
            run(async {
                let mut scene = Scene::new(Delays::default()).bound();
                let vpcs = [(); 2].map(|()| scene.vpc(&VpcShape::default()).0);
                assert!(vpcs.contains(&vpc), "ids are the same in each world");
                scene.start();
                scene.apply("bot", spec);
                scene.until_ready("bot").await;
                shape(&scene.aws.world())
            })
        });
        let shape = undisturbed.join().expect("an app becomes ready where nothing fails");
        known().insert(what, shape.clone());
        shape
    }
}
