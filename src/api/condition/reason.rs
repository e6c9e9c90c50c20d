//! The table of reasons: meaning, conditions, who acts, remedy, and bound of the wait.
//!
//! A new reason is one row here. The doc comment of a variant is its meaning. `kubectl`, the reference of conditions and the
//! bounds of waits all follow from the row.

use super::{
    ConditionType::{
        self, Accepted, EndpointReady, EndpointsReady, ExecutionRoleReady, FunctionReady, Healthy, NetworkReady,
        SecurityGroupsReady, VpcReady,
    },
    row::{Actor, NO_WAIT, NOTHING, after_others, hours, minutes, reasons, wait},
};

/// The conditions about resources that the operator writes.
const WRITTEN: &[ConditionType] = &[SecurityGroupsReady, EndpointsReady, ExecutionRoleReady, FunctionReady];
/// The conditions for which the operator calls AWS.
const CALLED: &[ConditionType] =
    &[VpcReady, SecurityGroupsReady, EndpointsReady, ExecutionRoleReady, FunctionReady, Healthy];

reasons! {
    /// The reason of a condition's status.
    enum Reason;

    /// The subject of the condition has its desired state.
    Ready: &[VpcReady, SecurityGroupsReady, EndpointsReady, NetworkReady, EndpointReady, ExecutionRoleReady, FunctionReady, Healthy],
        Actor::Nobody, NOTHING, NO_WAIT;

    /// The operator acts on the object.
    Accepted: &[Accepted], Actor::Nobody, NOTHING, NO_WAIT;

    /// No operator has looked at the object yet.
    Pending: &[ConditionType::Ready], Actor::Operator, "If the reason stays: check that the operator runs and is ready (`/readyz`).", NO_WAIT;

    /// An earlier condition comes first: the network before a function, the VPC before security groups, security groups before
    /// the endpoint. Only creations and moves wait; existing resources are kept exact.
    WaitingForNetwork: &[EndpointsReady, NetworkReady, ExecutionRoleReady, FunctionReady, SecurityGroupsReady],
        Actor::Operator, "If the reason stays: `kubectl describe pgain` shows what the network waits for.",
        after_others(hours(1), "existing resources are kept exact, and no resource is created",
            "whoever runs the operator, by its log: no other condition explains the wait");

    /// A call for this condition needs the result of a call that failed, as the function needs its role. The other condition has
    /// the failure.
    DependencyNotReady: WRITTEN, Actor::Operator, "The message names the condition that has the cause.",
        after_others(hours(1), "existing resources are kept exact",
            "whoever runs the operator, by its log: no other condition has the failed call");

    /// The operator is creating or changing a resource. Or a name is taken, perhaps by a resource of the operator that AWS does
    /// not show yet: for a minute at most.
    Applying: CALLED, Actor::Operator, NOTHING,
        wait(minutes(30), "the calls that AWS accepted have their effect, and the others are tried again",
            "whoever runs the operator, by the log, which has every call");

    /// AWS is creating or changing the endpoint, or is still deleting the earlier endpoint, which holds the service's name until
    /// the end.
    EndpointPending: &[EndpointsReady, SecurityGroupsReady], Actor::Aws, "Nothing. AWS needs some minutes.",
        wait(hours(1), "all other resources of the network are kept exact",
            "AWS Support, by the id of the endpoint; or whoever administers the VPC, by deleting the endpoint, which is created again");

    /// The policy of the endpoint does not allow the app's models yet.
    EndpointUpdating: &[EndpointReady], Actor::Operator, NOTHING,
        wait(hours(1), "the models that the endpoint allows already can be called",
            "whoever administers the network, by its conditions (kubectl describe pgain)");

    /// Lambda is attaching or updating the function.
    FunctionPending: &[FunctionReady, ExecutionRoleReady], Actor::Aws, "Nothing. Lambda needs minutes for the first function in a VPC.",
        wait(hours(1), "all other resources of the app are kept exact",
            "AWS Support, by the name of the function; or whoever administers the account, by deleting the function, which is created again");

    /// AWS does not know the new role everywhere yet.
    RolePropagating: CALLED, Actor::Aws,
        "Nothing. AWS needs seconds. If the wait is overdue, and AWS's message is about missing permissions of the execution role: \
         check that the permissions boundary and the policies of the organization (SCP, RCP) allow \
         [what these roles need](../install-eks.md#2-a-permissions-boundary-and-the-operators-iam-policy).",
        wait(minutes(15), "existing resources are kept exact, and the call is made again every five minutes",
            "whoever administers IAM: a service control policy, a resource control policy or the permissions boundary may deny the \
             execution role what AWS names");

    /// Lambda has put the idle function to sleep, and the operator is waking it.
    FunctionInactive: &[FunctionReady], Actor::Operator, "Nothing. Lambda needs minutes.",
        wait(hours(1), "all other resources of the app are kept exact",
            "whoever may invoke the function, by an invocation: Lambda's answer has the cause");

    /// The app has `suspend: true`. The message names the calls that the operator would make, or the probes that it leaves
    /// out.
    Suspended: &[ExecutionRoleReady, FunctionReady, Healthy], Actor::AppOwner,
        "Set `suspend` to false to let the operator make the calls.", NO_WAIT;

    /// The current path has not been probed yet: the function is not active yet, is changing, or sleeps.
    ProbePending: &[Healthy], Actor::Operator, NOTHING,
        after_others(hours(1), "existing resources are kept exact, and the path is not proven",
            "whoever runs the operator, by its log, which has every probe");

    /// The object and its resources in AWS are being deleted. Also if this version cannot read all of the object.
    Deleting: &[Accepted, SecurityGroupsReady, EndpointsReady, ExecutionRoleReady, FunctionReady], Actor::Aws,
        "Nothing. Lambda keeps network interfaces for 20 minutes and more.",
        wait(hours(2), "the object stays until all its resources are gone", "AWS Support, by the id that the message names");

    /// A resource in AWS still uses a resource that is to be deleted, such as network interfaces that Lambda has not released.
    ResourceInUse: WRITTEN, Actor::AccountAdministrator,
        "The message names the user of the resource. For an interface of Lambda, wait; for any other user, remove the security group from the user.",
        wait(hours(12), "the object stays until all its resources are gone",
            "whoever owns the resource in the message, by removing the security group from that resource; AWS Support, for an interface of Lambda");

    /// Apps use the network, so the network stays, although it is being deleted or no object here names it.
    InUse: &[Accepted], Actor::AppOwner,
        "The message names the apps. Delete these apps first; or, for apps without an object here, apply or allow them again.",
        wait(hours(1), "the network stays unchanged for its apps",
            "whoever owns the apps in the message, by deleting these apps");

    /// The implicit network of the app is being deleted, and is then created again for this app.
    NetworkDeleting: &[NetworkReady], Actor::Operator, NOTHING,
        wait(hours(16), "the resources of the app stay unchanged",
            "whoever administers the network, whose conditions (kubectl describe pgain) have the cause");

    /// This version cannot read the stored object.
    InvalidSpec: &[Accepted, NetworkReady], Actor::AppOwner,
        "Correct the field in the message. The resources of the object stay unchanged. A network that is being deleted, and \
         whose VPC cannot be read anywhere: delete it with the version that wrote it, or set `deletionPolicy` to `Retain`, and only \
         the object is deleted.",
        NO_WAIT;

    /// The status of the object, or the tags of an endpoint in its status, name another installation id. The operator changes
    /// nothing in AWS for the object, and keeps its finalizer.
    InstallationChanged: &[Accepted], Actor::OperatorAdministrator,
        "Give the operator the id in the message. To change the id on purpose, see \
         [changing the installation id](../troubleshooting.md#changing-the-installation-id-on-purpose).",
        NO_WAIT;

    /// A security group of the VPC carries the owner mark of another cluster: two clusters use one `installationId`. The operator
    /// changes nothing in AWS for the network and its apps, and keeps their finalizers.
    InstallationInUse: &[Accepted, NetworkReady], Actor::OperatorAdministrator,
        "Give one of the two clusters another `installationId`. If the other cluster is gone, run the command in the message \
         ([take over](../backup-and-restore.md#the-cluster-is-lost)).",
        NO_WAIT;

    /// The operator's configuration does not allow this region for apps and networks. Earlier resources there stay, and can be
    /// deleted: the network is kept exact; function, role and log group of an app stay unchanged, and are repaired only when the
    /// region is allowed again. No further resource is created.
    RegionNotAllowed: &[Accepted], Actor::OperatorAdministrator,
        "Create the app in a VPC of an allowed region, or have this region added to `regions`.", NO_WAIT;

    /// The operator's configuration does not allow this VPC for apps. Earlier resources of the app stay unchanged, and the app
    /// gets no further ones.
    VpcNotAllowed: &[Accepted], Actor::OperatorAdministrator, "Have the VPC added to `implicitNetworks.vpcIds`.", NO_WAIT;

    /// The operator's configuration does not allow this namespace for apps. Earlier resources of the app stay unchanged, and the
    /// app gets no further ones; but the endpoint allows none of its models any more.
    NamespaceNotAllowed: &[Accepted], Actor::OperatorAdministrator,
        "Have the namespace added to `implicitNetworks.allow.namespaces`, or create the app in another namespace.", NO_WAIT;

    /// The operator's configuration does not allow one of these models. Earlier resources of the app stay unchanged, and the app
    /// gets no further ones; but the endpoint does not allow those models any more.
    ModelNotAllowed: &[Accepted], Actor::OperatorAdministrator,
        "Name other models, or have the models in the message added to `implicitNetworks.allow.models`.", NO_WAIT;

    /// Another PrivateGenAINetwork stands for this VPC. The operator does nothing for this network.
    VpcConflict: &[Accepted], Actor::NetworkOwner, "Delete one of the two networks.", NO_WAIT;

    /// An object for another VPC has the name of the implicit network.
    NameConflict: &[NetworkReady], Actor::NetworkOwner, "Delete that object, or create it again under another name.", NO_WAIT;

    /// The operator's account has no such VPC in the region.
    VpcNotFound: &[VpcReady], Actor::NetworkOwner,
        "`vpcId` and `region` cannot be changed: delete the object, and create it again with the right values.", NO_WAIT;

    /// The VPC belongs to another account, which shares its subnets with the operator's account (AWS RAM). AWS lets only the owner of
    /// a VPC create endpoints there.
    VpcNotOwned: &[VpcReady], Actor::NetworkOwner,
        "Create the app in a VPC of the operator's account, or run an operator in the account that owns the VPC. The message names both \
         accounts.", NO_WAIT;

    /// Lambda attaches functions to VPCs of default tenancy only.
    DedicatedTenancy: &[VpcReady], Actor::NetworkOwner, "Create the app in a VPC of default tenancy.", NO_WAIT;

    /// The region has no interface endpoints for Bedrock's runtime.
    ServiceNotOffered: &[VpcReady, NetworkReady], Actor::NetworkOwner, "Create the app in a VPC of a region with such endpoints.", NO_WAIT;

    /// Fewer than two zones have a private subnet where the service is offered.
    TooFewZones: &[VpcReady, NetworkReady], Actor::VpcAdministrator,
        "Add private subnets (without a route to an internet gateway). If the message names `subnetIds`: create another app that names \
         subnets in two zones, or none.", NO_WAIT;

    /// Fewer than two zones have a private subnet with room for two interfaces.
    NoFreeAddresses: &[VpcReady], Actor::VpcAdministrator, "Free addresses, or add subnets.", NO_WAIT;

    /// A subnet in `subnetIds` is not in the VPC.
    SubnetNotInVpc: &[NetworkReady], Actor::AppOwner, "Create another app that names subnets of the VPC, or none.", NO_WAIT;

    /// A subnet in `subnetIds` has a route to an internet gateway. The operator keeps an existing function in that subnet, and
    /// the condition shows this reason at the next resync.
    SubnetNotPrivate: &[NetworkReady], Actor::VpcAdministrator,
        "Remove the route, or create another app that names private subnets, or none.", NO_WAIT;

    /// A subnet in `subnetIds` is in a zone without the service.
    SubnetZoneNotOffered: &[NetworkReady], Actor::AppOwner, "Create another app that names subnets in the zones of the message, or none.", NO_WAIT;

    /// The VPC has no DNS resolution.
    DnsDisabled: &[VpcReady], Actor::VpcAdministrator, "Set the attribute `enableDnsSupport` of the VPC.", NO_WAIT;

    /// The policy of the endpoint, of which AWS takes 20,480 characters, has no room for this app's models, or the models take
    /// more than the 5,120 characters of one app. The models that the endpoint allows already stay allowed, and other apps are
    /// served. As soon as there is room, the app gets its models, before the apps that came later.
    PolicyTooLong: &[EndpointReady], Actor::AppOwner,
        "Name fewer models, here or in other apps of the VPC, or create the app in another VPC. `implicitNetworks.allow.models` keeps \
         invented models out.",
        NO_WAIT;

    /// The function's environment would be longer than Lambda's limit of 4,096 bytes. The operator's own variables, with the
    /// models, count too.
    EnvironmentTooLong: &[FunctionReady], Actor::AppOwner, "Name fewer models, or less in `function.environment`.", NO_WAIT;

    /// Lambda cannot decrypt the function's environment: the KMS key is disabled, deleted, or may not be used. The operator
    /// cannot compare the environment, and therefore does not write the environment.
    EnvironmentUnreadable: &[FunctionReady, Healthy], Actor::AccountAdministrator,
        "Enable the key, or allow its use (`kms:Decrypt`) to the operator's role and to Lambda; or delete the function: it is created \
         again with Lambda's own key.",
        NO_WAIT;

    /// The endpoint failed, was rejected or expired. The operator creates it again, every five minutes at most.
    EndpointFailed: &[EndpointsReady], Actor::Operator, "If the reason comes back: the message has AWS's cause.",
        wait(minutes(30), "all other resources of the network are kept exact, and the endpoint is created again every five minutes at most",
            "whoever administers the resource in AWS's message");

    /// The function failed to start or to update.
    FunctionFailed: &[FunctionReady], Actor::AccountAdministrator, "The message has Lambda's reason code. Remove the cause.",
        wait(minutes(30), "all other resources of the app are kept exact, and the function is created or updated again every five minutes at most",
            "whoever administers the resource in Lambda's message");

    /// The function failed in a probe, or gave another answer than the probe's.
    FunctionError: &[Healthy], Actor::AppOwner, "Find the request id of the message in the function's log group.", NO_WAIT;

    /// The function exceeded its time limit in a probe.
    FunctionTimedOut: &[Healthy], Actor::AppOwner, "Raise `function.timeoutSeconds`, or see the function's log.", NO_WAIT;

    /// The function does not reach the endpoint.
    ProbeFailed: &[Healthy], Actor::VpcAdministrator,
        "The message names the end of the path and the things to check: network ACLs, DNS attributes, or the servers that answer for names \
         (as for `NotPrivate`).",
        wait(minutes(15), "existing resources are kept exact, and the path is probed again",
            "whoever administers the VPC: its network ACLs and its DNS");

    /// The service's name leads the function to another address than this endpoint.
    NotPrivate: &[Healthy], Actor::VpcAdministrator,
        "Check which server answers for that name in the VPC: its DHCP option set (`domain-name-servers`), Route 53 Resolver rules and private \
         hosted zones that are associated with it, rule groups of DNS Firewall.",
        wait(minutes(15), "the security groups let the function reach only the endpoint",
            "whoever administers the VPC: its hosted zones and its DNS");

    /// A resource that is not this installation's has a name that the operator needs. (If AWS refuses a name as taken, the
    /// condition shows this reason after a minute.) Or a function that somebody else created has this app's tags and a property
    /// that Lambda cannot change.
    NameTaken: WRITTEN, Actor::AccountAdministrator,
        "Remove or rename the resource, or, if this installation owns the resource, tag it as the message says. The operator does not \
         change the resource.",
        NO_WAIT;

    /// AWS does not allow a call of the operator.
    AccessDenied: CALLED, Actor::AccountAdministrator,
        "Follow the message; see [what AWS does not allow](../troubleshooting.md#what-aws-does-not-allow).", NO_WAIT;

    /// The operator has no valid AWS credentials, or credentials of another account than at its start. `/readyz` shows the same,
    /// unless only one service refuses the credentials, as in a region that the account has not enabled.
    CredentialsInvalid: CALLED, Actor::OperatorAdministrator,
        "Check IRSA or Pod Identity of the operator's ServiceAccount. The operator goes on within seconds, without a restart.", NO_WAIT;

    /// A quota of the account is used up.
    QuotaReached: CALLED, Actor::AccountAdministrator,
        "Raise the quota in Service Quotas, or remove resources that are not needed. New accounts give a function less \
         memory than Lambda's 10,240 MiB: set `function.memoryMiB` to the value in the message, or ask AWS Support.",
        NO_WAIT;

    /// AWS throttles the operator's calls, or the operator holds calls back to stay below AWS's rates. The message names which.
    Throttled: CALLED, Actor::Operator,
        "Nothing: the operator makes the calls that it holds back when their turn comes, and tries throttled calls again, less often each \
         time. If the operator holds calls back for long, `pacing.awsRatePercent` of the chart may be too low. If only the probe is \
         throttled, and for long, raise the concurrency reserved for the function, or the account's.",
        wait(hours(2), "existing resources stay unchanged, and calls are made in their turns, or less often each time",
            "whoever administers the account, by finding other frequent callers or by raising a quota; or whoever runs the operator, by \
             pacing.awsRatePercent of the chart");

    /// AWS did not answer, or reported a failure of its own.
    AwsUnavailable: CALLED, Actor::Aws, "Nothing: the operator tries again, less often each time.",
        wait(hours(2), "existing resources stay unchanged, and calls are made, less often each time",
            "AWS (see the Health Dashboard); or whoever runs the operator: its network path to AWS, with proxies and DNS");

    /// AWS refuses the parameters of a call.
    AwsRefused: CALLED, Actor::AccountAdministrator,
        "Correct the cause in AWS's message. `Scope ARN … does not exist or is not attachable`: create the managed policy that \
         `permissionsBoundaryArn` names, or name another policy.",
        NO_WAIT;

    /// AWS accepts a call several times, and shows no change afterwards. The operator published one Event about drift, and makes
    /// the call again every five minutes at most.
    WriteHasNoEffect: WRITTEN, Actor::AccountAdministrator,
        "Find in CloudTrail what reverts the change: another controller, Terraform, a rule of AWS Config. If nothing does, ask AWS Support \
         with the resource in the message.",
        NO_WAIT;

    /// An admission policy, or RBAC, refuses a write of the operator, such as the implicit network of an app. The message has the
    /// words of the refusal. If the status itself cannot be written, the reason is an Event.
    KubernetesRefused: &[Accepted, NetworkReady], Actor::ClusterAdministrator,
        "Have the policy allow the write, or create a network yourself; if no policy is named, apply the chart's ClusterRole again.", NO_WAIT;

    /// The subject of the condition could not be read from AWS three times in a row, so the condition is `Unknown`. The other
    /// conditions stay current.
    ObservationFailed: CALLED, Actor::Aws, "See the message. Earlier recorded facts are kept.",
        wait(hours(2), "recorded facts are kept, and the operator reports no new ones",
            "AWS (see the Health Dashboard); or whoever runs the operator: its network path to AWS, and the permissions of its role");
}
