//! What the conditions show at the end of a pass.

use super::{Failed, Pass, Position};
use crate::{
    api::condition::{Leg, Reason},
    aws::Class,
    plan::{Step, stands_on},
};

impl Pass {
    /// Ends the pass: each failure shows on its condition. Of several on one condition, one that needs somebody to act comes first,
    /// then the first that failed.
    pub(in crate::engine) fn end(&mut self) {
        self.position = Position::End;
        let (somebody, others): (Vec<Failed>, Vec<Failed>) =
            self.failed_steps().cloned().partition(|failed| failed.error.failure.class() == Class::UserMustAct);
        for Failed { step, error, is_answered, .. } in others.iter().rev().chain(&somebody) {
            if *is_answered {
                self.plan.show_failure(step.leg, &step.write, error);
            } else {
                self.plan.show_held_back(step.leg, &step.write, error);
            }
        }
        let legs: Vec<Leg> = self.plan.steps.iter().filter_map(|step| self.no_effect_leg(step)).collect();
        for leg in legs {
            self.plan.set_leg(leg);
        }
        let legs: Vec<Leg> = self.plan.steps.iter().filter_map(|step| self.dependency_leg(step)).collect();
        for leg in legs {
            self.plan.set_leg_instead_of(Reason::Applying, leg);
        }
    }

    /// The condition of a step that AWS took several times and never showed.
    fn no_effect_leg(&self, step: &Step) -> Option<Leg> {
        if !self.without_effect.contains(&step.write) || self.failed.iter().any(|failed| failed.step == *step) {
            return None;
        }
        let (operation, resource) = (step.write.operation(), step.write.resource());
        let message = format!(
            "{resource}: {operation} succeeds, and AWS shows no change afterwards. See in CloudTrail what changes it back (another \
             controller, Terraform, a rule of AWS Config), or what keeps AWS from showing it. The call is made again every five minutes \
             at most."
        );
        Some(Leg::blocked(step.leg, Reason::WriteHasNoEffect, message))
    }

    /// The condition of a step that stands on a failed step of another condition: that condition has the cause.
    fn dependency_leg(&self, step: &Step) -> Option<Leg> {
        let first = self.cause_of(step).filter(|first| first.leg != step.leg)?;
        let (operation, resource) = (step.write.operation(), step.write.resource());
        let message = format!(
            "{resource}: {operation} waits for {} of {}; condition {} says what keeps that.",
            first.write.operation(),
            first.write.resource(),
            first.leg.as_str()
        );
        Some(Leg::progressing(step.leg, Reason::DependencyNotReady, message))
    }

    /// The first step on which this one stands, at any distance, that failed or has no effect.
    fn cause_of(&self, step: &Step) -> Option<&Step> {
        let before = self.plan.steps.iter().take_while(|other| *other != step);
        before.filter(|other| stands_on(&step.write, &other.write)).find_map(|other| {
            let is_cause =
                self.without_effect.contains(&other.write) || self.failed.iter().any(|failed| failed.step == *other);
            if is_cause { Some(other) } else { self.cause_of(other) }
        })
    }
}
