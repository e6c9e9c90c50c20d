//! The table of reasons: what each means, under which conditions it appears, who acts, what helps, and how long it may last.
//!
//! A new reason is one row here. The doc comment of a variant is its meaning, and `kubectl`, the reference of conditions and the
//! time limits of waits all follow from its row.

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
    /// Why a condition has its status.
    enum Reason;

    /// What the condition is about is as it should be.
    Ready: &[VpcReady, SecurityGroupsReady, EndpointsReady, NetworkReady, EndpointReady, ExecutionRoleReady, FunctionReady, Healthy],
        Actor::Nobody, NOTHING, NO_WAIT;

    /// The operator acts on the object.
    Accepted: &[Accepted], Actor::Nobody, NOTHING, NO_WAIT;

    /// No operator has looked at the object yet.
    Pending: &[ConditionType::Ready], Actor::Operator, "If it stays: is the operator running, and ready (`/readyz`)?", NO_WAIT;

    /// An earlier condition comes first: the network before a function, the VPC before security groups, security groups before the
    /// endpoint. Only what has to be created or moved waits; what exists is kept exact.
    WaitingForNetwork: &[EndpointsReady, NetworkReady, ExecutionRoleReady, FunctionReady, SecurityGroupsReady],
        Actor::Operator, "If it stays: `kubectl describe pgain` says what the network waits for.",
        after_others(hours(1), "what is there is kept exact, and nothing is created",
            "whoever runs the operator, by its log: no other condition says what is waited for");

    /// A call for this condition needs the result of a call that failed, such as the function that of its role. The other condition
    /// tells of the failure.
    DependencyNotReady: WRITTEN, Actor::Operator, "The message names the condition that says why.",
        after_others(hours(1), "what is there is kept exact",
            "whoever runs the operator, by its log: no other condition says which call failed");

    /// The operator is creating or changing something. Or a name is taken by what may be the operator's own and what AWS does not
    /// show yet: that lasts a minute at most.
    Applying: CALLED, Actor::Operator, NOTHING,
        wait(minutes(30), "what AWS has taken is there, and the rest is tried again",
            "whoever runs the operator, by its log, which has every call");

    /// AWS is creating or changing the endpoint, or still deletes the earlier endpoint, which holds the service's name until it is gone.
    EndpointPending: &[EndpointsReady, SecurityGroupsReady], Actor::Aws, "Nothing. It takes some minutes.",
        wait(hours(1), "everything else of the network is kept exact",
            "AWS Support, by the id of the endpoint; or whoever administers the VPC, by deleting the endpoint, which is created again");

    /// The policy of the endpoint does not let the app's models through yet.
    EndpointUpdating: &[EndpointReady], Actor::Operator, NOTHING,
        wait(hours(1), "the models that the endpoint lets through already can be called",
            "whoever administers the network, by its conditions (kubectl describe pgain)");

    /// Lambda is attaching or updating the function.
    FunctionPending: &[FunctionReady, ExecutionRoleReady], Actor::Aws, "Nothing. The first function in a VPC takes minutes.",
        wait(hours(1), "everything else of the app is kept exact",
            "AWS Support, by the name of the function; or whoever administers the account, by deleting the function, which is created again");

    /// AWS does not know the new role everywhere yet.
    RolePropagating: CALLED, Actor::Aws,
        "Nothing. It takes seconds. If it is overdue, and AWS's words are about missing permissions of the execution role: do the permissions \
         boundary and the policies of the organization (SCP, RCP) allow \
         [what these roles need](../install-eks.md#2-a-permissions-boundary-and-the-operators-iam-policy)?",
        wait(minutes(15), "what is there is kept exact, and the call is made again every five minutes",
            "whoever administers IAM: a service control policy, a resource control policy or the permissions boundary may deny the \
             execution role what AWS names");

    /// Lambda has put the idle function to sleep, and the operator is waking it.
    FunctionInactive: &[FunctionReady], Actor::Operator, "Nothing. It takes minutes.",
        wait(hours(1), "everything else of the app is kept exact",
            "whoever may invoke the function, by invoking it: Lambda says what keeps it from waking");

    /// The app has `suspend: true`. The message names what would be done for it, or says that its path is not probed.
    Suspended: &[ExecutionRoleReady, FunctionReady, Healthy], Actor::AppOwner, "Set `suspend` to false to have it done.", NO_WAIT;

    /// The path has not been probed as it now is: the function is not active yet, changes, or sleeps.
    ProbePending: &[Healthy], Actor::Operator, NOTHING,
        after_others(hours(1), "what is there is kept exact, and its path is not proven",
            "whoever runs the operator, by its log, which has every probe");

    /// The object is being deleted, and its resources in AWS. Also where this version cannot read all of the object.
    Deleting: &[Accepted, SecurityGroupsReady, EndpointsReady, ExecutionRoleReady, FunctionReady], Actor::Aws,
        "Nothing. Lambda keeps network interfaces for 20 minutes and more.",
        wait(hours(2), "the object is kept until nothing is left, so nothing is forgotten", "AWS Support, by the id that the message names");

    /// Something in AWS still uses what is to be deleted, such as network interfaces that Lambda has not released.
    ResourceInUse: WRITTEN, Actor::AccountAdministrator,
        "The message names what uses it. Nothing, if that is an interface of Lambda; else take the security group off it.",
        wait(hours(12), "the object is kept until nothing is left, so nothing is forgotten",
            "whoever owns what the message names, by taking the group off it; AWS Support, if it is an interface of Lambda's");

    /// Apps use the network, so it stays, although it is being deleted or no object here names it.
    InUse: &[Accepted], Actor::AppOwner,
        "The message names the apps. Delete them first; or apply again those that have no object here, or have them allowed.",
        wait(hours(1), "the network stays as it is for the apps that use it",
            "whoever owns the apps that the message names, by deleting them");

    /// The implicit network of the app is being deleted, and is then created again for this app.
    NetworkDeleting: &[NetworkReady], Actor::Operator, NOTHING,
        wait(hours(16), "what the app has stays where it is",
            "whoever administers the network: its conditions (kubectl describe pgain) say what keeps it");

    /// This version cannot read the stored object.
    InvalidSpec: &[Accepted, NetworkReady], Actor::AppOwner,
        "Correct the field that the message names. The resources of the object stay as they are. A network that is being deleted, and \
         whose VPC cannot be read anywhere: delete it with the version that wrote it, or set `deletionPolicy` to `Retain`, and the \
         object goes without its resources in AWS.",
        NO_WAIT;

    /// The status of the object, or the tags of an endpoint that it records, names another installation id. The operator changes
    /// nothing in AWS for the object, and keeps its finalizer.
    InstallationChanged: &[Accepted], Actor::OperatorAdministrator,
        "Give the operator the id that the message names. To change the id on purpose, see \
         [changing the installation id](../troubleshooting.md#changing-the-installation-id-on-purpose).",
        NO_WAIT;

    /// A security group of the VPC carries the owner mark of another cluster: two clusters use one `installationId`. The operator
    /// changes nothing in AWS for the network and its apps, and keeps the finalizers that it has set.
    InstallationInUse: &[Accepted, NetworkReady], Actor::OperatorAdministrator,
        "Give one of the two clusters another `installationId`. If the other cluster is gone, run the command that the message names \
         ([take over](../backup-and-restore.md#the-cluster-is-lost)).",
        NO_WAIT;

    /// The operator's configuration does not let apps and networks be in this region. What was built there before stays, and can be
    /// deleted: the network is kept exact; function, role and log group of an app stay as they are, and are not repaired until the
    /// region is allowed again. Nothing more is built.
    RegionNotAllowed: &[Accepted], Actor::OperatorAdministrator,
        "Create the app in a VPC of a region that is allowed, or have this region added to `regions`.", NO_WAIT;

    /// The operator's configuration does not let apps use this VPC. What the app has from before stays as it is, and the app gets
    /// no more.
    VpcNotAllowed: &[Accepted], Actor::OperatorAdministrator, "Have the VPC added to `implicitNetworks.vpcIds`.", NO_WAIT;

    /// The operator's configuration does not let apps be in this namespace. What the app has from before stays as it is, and the app
    /// gets no more; but the endpoint lets none of its models through.
    NamespaceNotAllowed: &[Accepted], Actor::OperatorAdministrator,
        "Have the namespace added to `implicitNetworks.allow.namespaces`, or create the app in another namespace.", NO_WAIT;

    /// The operator's configuration does not let apps call one of these models. What the app has from before stays as it is, and the
    /// app gets no more; but the endpoint lets those models through no longer.
    ModelNotAllowed: &[Accepted], Actor::OperatorAdministrator,
        "Name other models, or have those in the message added to `implicitNetworks.allow.models`.", NO_WAIT;

    /// Another PrivateGenAINetwork stands for this VPC. The operator does nothing for this one.
    VpcConflict: &[Accepted], Actor::NetworkOwner, "Delete one of the two networks.", NO_WAIT;

    /// An object for another VPC has the name of the implicit network.
    NameConflict: &[NetworkReady], Actor::NetworkOwner, "Delete that object, or create it under another name.", NO_WAIT;

    /// The operator's account has no such VPC in the region.
    VpcNotFound: &[VpcReady], Actor::NetworkOwner,
        "`vpcId` and `region` cannot be changed: delete the object, and create it again with the right values.", NO_WAIT;

    /// The VPC belongs to another account, which shares its subnets with the operator's account (AWS RAM). AWS lets only the owner of
    /// a VPC create endpoints there.
    VpcNotOwned: &[VpcReady], Actor::NetworkOwner,
        "Create the app in a VPC of the operator's account, or run an operator in the account that owns it. The message names both accounts.", NO_WAIT;

    /// Lambda attaches functions to VPCs of default tenancy only.
    DedicatedTenancy: &[VpcReady], Actor::NetworkOwner, "Create the app in a VPC of default tenancy.", NO_WAIT;

    /// The region has no interface endpoints for Bedrock's runtime.
    ServiceNotOffered: &[VpcReady, NetworkReady], Actor::NetworkOwner, "Create the app in a VPC of a region that has them.", NO_WAIT;

    /// Fewer than two zones have a private subnet where the service is offered.
    TooFewZones: &[VpcReady, NetworkReady], Actor::VpcAdministrator,
        "Add private subnets (without a route to an internet gateway). If the message is about `subnetIds`: create another app that names \
         subnets in two zones, or none.", NO_WAIT;

    /// Fewer than two zones have a private subnet with room for two interfaces.
    NoFreeAddresses: &[VpcReady], Actor::VpcAdministrator, "Free addresses, or add subnets.", NO_WAIT;

    /// A subnet in `subnetIds` is not in the VPC.
    SubnetNotInVpc: &[NetworkReady], Actor::AppOwner, "Create another app that names subnets of the VPC, or none.", NO_WAIT;

    /// A subnet in `subnetIds` has a route to an internet gateway. An app that has its function there already keeps it, and its
    /// condition says so at the next resync.
    SubnetNotPrivate: &[NetworkReady], Actor::VpcAdministrator,
        "Remove the route, or create another app that names private subnets, or none.", NO_WAIT;

    /// A subnet in `subnetIds` is in a zone without the service.
    SubnetZoneNotOffered: &[NetworkReady], Actor::AppOwner, "Create another app that names subnets in the zones that the message lists, or none.", NO_WAIT;

    /// The VPC resolves no names.
    DnsDisabled: &[VpcReady], Actor::VpcAdministrator, "Set its attribute `enableDnsSupport`.", NO_WAIT;

    /// The policy of the endpoint, of which AWS takes 20,480 characters, has no room for this app's models, or the models take more
    /// than the 5,120 that one app gets. What the endpoint lets through already stays, and other apps are served. The app gets its
    /// models as soon as there is room, before the apps that came later.
    PolicyTooLong: &[EndpointReady], Actor::AppOwner,
        "Name fewer models, here or in other apps of the VPC, or create the app in another VPC. `implicitNetworks.allow.models` keeps invented models out.",
        NO_WAIT;

    /// The function's environment would be longer than the 4,096 bytes that Lambda allows. The operator's own variables, with the
    /// models, count too.
    EnvironmentTooLong: &[FunctionReady], Actor::AppOwner, "Name fewer models, or less in `function.environment`.", NO_WAIT;

    /// Lambda cannot decrypt the function's environment: the KMS key is disabled, deleted, or may not be used. The operator cannot
    /// compare the environment with the wanted one, and does not write it for that reason.
    EnvironmentUnreadable: &[FunctionReady, Healthy], Actor::AccountAdministrator,
        "Enable the key, or allow its use (`kms:Decrypt`) to the operator's role and to Lambda; or delete the function: it is created \
         again with Lambda's own key.",
        NO_WAIT;

    /// The endpoint failed, was rejected or expired. The operator creates it again, every five minutes at most.
    EndpointFailed: &[EndpointsReady], Actor::Operator, "If it comes back: the message has AWS's words.",
        wait(minutes(30), "everything else of the network is kept exact, and the endpoint is created again every five minutes at most",
            "whoever administers what AWS's words name");

    /// The function failed to start or to update.
    FunctionFailed: &[FunctionReady], Actor::AccountAdministrator, "The message has Lambda's reason code. Remove the cause.",
        wait(minutes(30), "everything else of the app is kept exact, and the function is created or updated again every five minutes at most",
            "whoever administers what Lambda's words name");

    /// The function failed when it was probed, or gave another answer than the probe's.
    FunctionError: &[Healthy], Actor::AppOwner, "Look into its log group for the request id that the message names.", NO_WAIT;

    /// The function ran into its time limit when it was probed.
    FunctionTimedOut: &[Healthy], Actor::AppOwner, "Raise `function.timeoutSeconds`, or see its log.", NO_WAIT;

    /// The function does not reach the endpoint.
    ProbeFailed: &[Healthy], Actor::VpcAdministrator,
        "The message says where the path ends, and what to check: network ACLs, DNS attributes, or who answers for names (as for `NotPrivate`).",
        wait(minutes(15), "what is there is kept exact, and the path is probed again",
            "whoever administers the VPC: its network ACLs and its DNS");

    /// The service's name leads the function past this endpoint.
    NotPrivate: &[Healthy], Actor::VpcAdministrator,
        "Check who answers for that name in the VPC: its DHCP option set (`domain-name-servers`), Route 53 Resolver rules and private \
         hosted zones that are associated with it, rule groups of DNS Firewall.",
        wait(minutes(15), "the security groups let the function reach the endpoint alone",
            "whoever administers the VPC: its hosted zones and its DNS");

    /// A resource has the name that is needed, and is not this installation's. (Where AWS refuses a name as taken, the condition says
    /// so after a minute.) Or a function that somebody else created has this app's tags and a property that Lambda cannot change.
    NameTaken: WRITTEN, Actor::AccountAdministrator,
        "Remove or rename the resource, or tag it as the message says if it is this installation's. The operator does not change it.",
        NO_WAIT;

    /// AWS does not allow a call of the operator.
    AccessDenied: CALLED, Actor::AccountAdministrator,
        "What the message says: [what AWS does not allow](../troubleshooting.md#what-aws-does-not-allow).", NO_WAIT;

    /// The operator has no valid AWS credentials, or those of another account than it started in. `/readyz` says so too, unless one
    /// service alone refuses them, as in a region that the account has not enabled.
    CredentialsInvalid: CALLED, Actor::OperatorAdministrator,
        "Check IRSA or Pod Identity of the operator's ServiceAccount. The operator goes on within seconds, without a restart.", NO_WAIT;

    /// A quota of the account is used up.
    QuotaReached: CALLED, Actor::AccountAdministrator,
        "Raise it in Service Quotas, or remove what is not needed. New accounts give a function less memory than Lambda's 10,240 MiB: \
         set `function.memoryMiB` to what the message names, or ask AWS Support.",
        NO_WAIT;

    /// AWS throttles the operator's calls, or the operator holds them back to keep to AWS's rates. The message says which.
    Throttled: CALLED, Actor::Operator,
        "Nothing: the operator tries again, less often each time. If the operator holds back for long, is `pacing.awsRatePercent` of the \
         chart set too low? If it is the probe and it stays, raise the concurrency reserved for the function, or the account's.",
        wait(hours(2), "what is there stays as it is, and calls are made, less often each time",
            "whoever administers the account: who else calls so often, and is a quota to be raised; or whoever runs the operator: \
             pacing.awsRatePercent of the chart");

    /// AWS did not answer, or said that it is unwell.
    AwsUnavailable: CALLED, Actor::Aws, "Nothing: the operator tries again, less often each time.",
        wait(hours(2), "what is there stays as it is, and calls are made, less often each time",
            "AWS, whose Health Dashboard tells; or whoever runs the operator: its way to AWS, with proxies and DNS");

    /// AWS refuses a call as it stands.
    AwsRefused: CALLED, Actor::AccountAdministrator,
        "Correct what AWS's words in the message name. `Scope ARN … does not exist or is not attachable`: create the managed policy that \
         `permissionsBoundaryArn` names, or name another policy.",
        NO_WAIT;

    /// AWS accepts a call again and again, and shows no change afterwards. The operator published one Event about drift, and makes the
    /// call again every five minutes at most.
    WriteHasNoEffect: WRITTEN, Actor::AccountAdministrator,
        "See in CloudTrail what reverts the change: another controller, Terraform, a rule of AWS Config. If nothing does, ask AWS Support \
         with the resource that the message names.",
        NO_WAIT;

    /// An admission policy, or RBAC, refuses a write of the operator, such as the implicit network of an app. The message has the
    /// words of whoever refuses. What cannot be written to the object's status is an Event.
    KubernetesRefused: &[Accepted, NetworkReady], Actor::ClusterAdministrator,
        "Have the policy allow it, or create a network yourself; if no policy is named, apply the chart's ClusterRole again.", NO_WAIT;

    /// What the condition is about could not be read from AWS three times in a row, so the condition is `Unknown`. Other conditions
    /// go on.
    ObservationFailed: CALLED, Actor::Aws, "See the message. The facts recorded before are kept.",
        wait(hours(2), "what was recorded is kept, and nothing is claimed of what cannot be read",
            "AWS, whose Health Dashboard tells; or whoever runs the operator: its way to AWS, and what its role may read");
}
