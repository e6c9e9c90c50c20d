//! The function of an app.

mod desired;

pub use desired::{AttachmentSource, DesiredFunction};

use super::{Desired, Observed, execution_role, not_ours, resource_description};
use crate::{
    api::{
        app::FunctionStatus,
        condition::{ConditionType, Leg, LegState, Reason},
    },
    aws::{
        FunctionConfiguration, FunctionDetail, FunctionListing, FunctionState, LambdaWrite, NewFunction, Role,
        UpdateStatus,
    },
    identity::{AppIdentity, missing_tags},
    plan::{Creation, Plan, Remains, Source},
};

const LEG: ConditionType = ConditionType::FunctionReady;

/// The longest environment that Lambda takes, in bytes of JSON.
const ENVIRONMENT_MAX: usize = 4_096;

/// Whether `GetFunction` is needed, because the listing shows neither state nor tags. It is not needed while nothing has changed
/// since status recorded the function as active.
pub(super) fn needs_detail(
    listing: Option<&FunctionListing>,
    desired: &DesiredFunction,
    recorded: Option<&FunctionStatus>,
) -> bool {
    let Some(listing) = listing else {
        return false;
    };
    let is_as_recorded = recorded.is_some_and(|recorded| {
        recorded.arn == listing.arn
            && recorded.last_modified == listing.last_modified
            && recorded.code_sha256 == listing.code_sha256
            && recorded.state == FunctionState::Active.as_str()
            && recorded.last_update_status == UpdateStatus::Successful.as_str()
    });
    let is_as_desired = listing.configuration == desired.configuration_of(&listing.configuration)
        && listing.altered.is_empty()
        && listing.fixed.is_empty()
        && listing.architecture == desired.architecture
        && listing.code_sha256 == desired.package.sha256();
    !(is_as_recorded && is_as_desired)
}

/// Plans the function. Its creation stands on the role and the log group; an existing function is kept exact whatever happens to them.
pub(super) fn plan(desired: &Desired, observed: &Observed, creation: Creation, plan: &mut Plan) -> Creation {
    if let Some(error) = observed.unread.of(Source::Functions) {
        plan.unread(LEG, Some(error));
        return Creation::Stopped;
    }
    // A leg that the log group has set stops the creation of the function.
    let leg = match &observed.listing {
        Some(listing) => existing(desired, observed, listing, plan),
        None if plan.legs.iter().any(|leg| leg.kind == LEG) => return Creation::Stopped,
        None => missing(desired, observed, creation, plan),
    };
    // The log group may have set this leg. Where both need somebody to act, the function's leg takes precedence.
    if leg.state == LegState::Blocked {
        plan.legs.retain(|other| other.kind != LEG);
    }
    plan.set_leg(leg);
    creation
}

/// Plans the end of the function: it goes first, because the app demands its network while the function exists.
pub(super) fn tear_down(identity: &AppIdentity, observed: &Observed, plan: &mut Plan) -> Remains {
    plan.unread(LEG, observed.unread.of(Source::Functions));
    if observed.unread.lacks(Source::Functions) {
        return Remains::Something;
    }
    let Some(detail) = &observed.detail else { return Remains::Nothing };
    let name = &detail.listing.name;
    if identity.installation.owns(&detail.tags) {
        plan.legs.push(Leg::progressing(LEG, Reason::Deleting, format!("Function {name} is being deleted.")));
        if detail.state != FunctionState::Deleting {
            plan.step(LEG, LambdaWrite::DeleteFunction { name: name.clone() });
        }
        return Remains::Something;
    }
    // A function of somebody else is ignored, unless it runs as this app's role: then it is the app's, and lost its tags.
    let runs_as_role = |role: &Role| role.arn == detail.listing.configuration.role_arn;
    if execution_role::owned(identity, observed).is_some_and(runs_as_role) {
        plan.legs.push(not_ours(identity, LEG, "Function", name.as_str()));
        return Remains::Something;
    }
    Remains::Nothing
}

/// Makes an existing function exact. Returns its leg.
fn existing(desired: &Desired, observed: &Observed, listing: &FunctionListing, plan: &mut Plan) -> Leg {
    let (name, function) = (desired.identity.function_name(), &desired.function);
    if let Some(leg) = observed.detail.as_ref().and_then(|detail| not_writable(desired, detail, plan)) {
        return leg;
    }
    if let Some(leg) = has_fixed_settings(listing) {
        return leg;
    }
    let before = plan.steps.len();
    if let Some(detail) = &observed.detail {
        let tags = missing_tags(&desired.tags, &detail.tags);
        if !tags.is_empty() {
            plan.step(LEG, LambdaWrite::TagResource { arn: listing.arn.clone(), tags });
        }
    }
    // An environment that Lambda would refuse delays no other change of the configuration.
    let wanted = function.configuration_of(&listing.configuration);
    let found = as_far_as_read(listing, &wanted);
    let too_long = too_long(desired, function).filter(|_| wanted.environment != found.environment);
    let configuration = match too_long {
        Some(_) => FunctionConfiguration { environment: found.environment.clone(), ..wanted },
        None => wanted,
    };
    let has_another_role = execution_role::owned(&desired.identity, observed).is_some() && observed.has_another_role();
    let is_attached = !configuration.subnets.is_empty();
    // Lambda takes one update at a time: the configuration first, the code in the next pass, or at once if the configuration is refused.
    let differs = found != configuration || !listing.altered.is_empty() || has_another_role;
    // An update would lose an endpoint URL that only an unreadable environment has.
    let would_lose_url = listing.unreadable_environment.is_some() && function.attachment == AttachmentSource::Unknown;
    if differs && !would_lose_url {
        let reset = listing.altered.clone();
        plan.step(LEG, LambdaWrite::UpdateFunctionConfiguration { name: name.clone(), configuration, reset });
    }
    if listing.code_sha256 != function.package.sha256() || listing.architecture != function.architecture {
        let (package, architecture) = (function.package.clone(), function.architecture);
        plan.step(LEG, LambdaWrite::UpdateFunctionCode { name: name.clone(), package, architecture });
    }
    if let Some(leg) = too_long {
        return leg;
    }
    let failed_update = observed.detail.as_ref().filter(|detail| detail.last_update == UpdateStatus::Failed);
    let failure = failed_update.map(|detail| detail.last_update_reason.as_deref().unwrap_or("no reason given"));
    if plan.steps.len() > before {
        return match failure {
            None => Leg::progressing(LEG, Reason::Applying, format!("Function {name} is being updated.")),
            Some(failure) => Leg::progressing(
                LEG,
                Reason::FunctionFailed,
                format!(
                    "The last update of function {name} failed ({failure}); the operator updates the function again."
                ),
            ),
        };
    }
    if let Some(code) = &listing.unreadable_environment {
        return unreadable_environment(name.as_str(), code);
    }
    let vpc = &desired.identity.vpc;
    match failure {
        Some(failure) => Leg::blocked(
            LEG,
            Reason::FunctionFailed,
            format!(
                "The last update of function {name} failed ({failure}): correct what Lambda's reason names, then delete the function, \
                 and the operator creates it again."
            ),
        ),
        None if !is_attached => Leg::progressing(
            LEG,
            Reason::WaitingForNetwork,
            format!(
                "Function {name} is not attached to VPC {vpc}: the operator attaches it once the network is ready."
            ),
        ),
        None => Leg::met(LEG, format!("Function {name} is active and attached to VPC {vpc}.")),
    }
}

/// Creates a missing function, or says what its creation waits for.
fn missing(desired: &Desired, observed: &Observed, creation: Creation, plan: &mut Plan) -> Leg {
    let (name, function, unread) = (desired.identity.function_name(), &desired.function, &observed.unread);
    if function.attachment != AttachmentSource::Network {
        let message = format!("Function {name} is created once the network is ready.");
        return Leg::progressing(LEG, Reason::WaitingForNetwork, message);
    }
    if observed.role.is_some() && execution_role::owned(&desired.identity, observed).is_none() {
        let message = format!(
            "Function {name} is created once role {} is this installation's: remove the role, or {}.",
            desired.identity.role_name(),
            desired.identity.installation.how_to_tag()
        );
        return Leg::blocked(LEG, Reason::NameTaken, message);
    }
    if creation == Creation::Stopped || unread.lacks(Source::Roles) {
        // Only the unread sources make the app come back: no sooner than they are read again.
        plan.unread(LEG, unread.of(Source::Roles));
        let message = format!(
            "Function {name} is created once its role and its log group can be read; the \
             condition ExecutionRoleReady, or this one, has the error."
        );
        return Leg::unknown(LEG, Reason::ObservationFailed, message);
    }
    if let Some(leg) = too_long(desired, function) {
        return leg;
    }
    plan.step(
        LEG,
        LambdaWrite::CreateFunction(NewFunction {
            name: name.clone(),
            description: resource_description(&desired.identity),
            configuration: function.configuration.clone(),
            architecture: function.architecture,
            package: function.package.clone(),
            tags: desired.tags.clone(),
        }),
    );
    Leg::progressing(LEG, Reason::Applying, format!("Function {name} is being created."))
}

/// The leg of a function that cannot be used or updated now, or that belongs to somebody else.
fn not_writable(desired: &Desired, detail: &FunctionDetail, plan: &mut Plan) -> Option<Leg> {
    let name = &detail.listing.name;
    if !desired.identity.installation.owns(&detail.tags) {
        return Some(not_ours(&desired.identity, LEG, "Function", name.as_str()));
    }
    let why = detail.state_reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    match &detail.state {
        FunctionState::Active => {}
        FunctionState::Failed if desired.function.attachment != AttachmentSource::Network => {
            return Some(Leg::progressing(
                LEG,
                Reason::WaitingForNetwork,
                format!(
                    "Function {name} failed to start{why}; it is deleted and created again once the network is ready."
                ),
            ));
        }
        FunctionState::Failed => {
            plan.step(LEG, LambdaWrite::DeleteFunction { name: name.clone() });
            return Some(Leg::progressing(
                LEG,
                Reason::FunctionFailed,
                format!("Function {name} failed to start{why}; it is deleted and created again."),
            ));
        }
        FunctionState::Inactive => {
            return Some(Leg::progressing(
                LEG,
                Reason::FunctionInactive,
                format!(
                    "Function {name} was idle for days and sleeps{why}: it is being woken, which takes some minutes."
                ),
            ));
        }
        state @ (FunctionState::Pending | FunctionState::Deleting | FunctionState::Other(_)) => {
            return Some(Leg::progressing(
                LEG,
                Reason::FunctionPending,
                format!("Function {name} is {}{why}; AWS takes some minutes.", state.as_str()),
            ));
        }
    }
    match &detail.last_update {
        UpdateStatus::Successful | UpdateStatus::Failed => None,
        UpdateStatus::InProgress | UpdateStatus::Other(_) => Some(Leg::progressing(
            LEG,
            Reason::FunctionPending,
            format!("An update of function {name} is under way; AWS takes some minutes."),
        )),
    }
}

/// The leg of a function with settings that Lambda accepts at creation only: the operator cannot put them right.
fn has_fixed_settings(listing: &FunctionListing) -> Option<Leg> {
    if listing.fixed.is_empty() {
        return None;
    }
    let fixed: Vec<&str> = listing.fixed.iter().map(|fixed| fixed.as_str()).collect();
    Some(Leg::blocked(
        LEG,
        Reason::NameTaken,
        format!(
            "Function {} was created by somebody else: it has {}, which Lambda cannot change. Delete the function, and the \
             operator creates it again.",
            listing.name,
            fixed.join(" and ")
        ),
    ))
}

/// The leg of an environment that is longer than Lambda takes. The operator's own variables count too, so the bounds of the field
/// cannot rule this out. Asked only before a write: Lambda has accepted an environment that exists.
fn too_long(desired: &Desired, function: &DesiredFunction) -> Option<Leg> {
    let measured = function.configuration.environment.measured();
    (measured > ENVIRONMENT_MAX).then(|| {
        Leg::blocked(
            LEG,
            Reason::EnvironmentTooLong,
            format!(
                "The environment of function {} would have {measured} bytes, and Lambda allows {ENVIRONMENT_MAX}. The models and the \
                 endpoint's URL count too: name fewer models, or shorten spec.function.environment.",
                desired.identity.function_name()
            ),
        )
    })
}

/// The observed configuration. An environment that cannot be decrypted is no drift: it counts as the desired one, and is written with
/// an update that has another cause.
fn as_far_as_read(listing: &FunctionListing, wanted: &FunctionConfiguration) -> FunctionConfiguration {
    let found = listing.configuration.clone();
    match listing.unreadable_environment {
        None => found,
        Some(_) => FunctionConfiguration { environment: wanted.environment.clone(), ..found },
    }
}

fn unreadable_environment(name: &str, code: &str) -> Leg {
    Leg::blocked(
        LEG,
        Reason::EnvironmentUnreadable,
        format!(
            "Lambda cannot decrypt the environment of function {name} ({code}), so the operator cannot compare it; the environment stays \
             as it is, and changes of spec.function.environment wait. Enable the KMS key that encrypts it, or let the operator's role \
             and Lambda use that key (kms:Decrypt); or delete the function, and the operator creates it again with Lambda's own key."
        ),
    )
}

#[cfg(test)]
mod tests;
