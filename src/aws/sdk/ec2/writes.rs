//! The changes of EC2.

use std::collections::BTreeSet;

use aws_sdk_ec2::types::{
    DnsOptionsSpecification, IpAddressType, IpPermission, ResourceType, Tag, TagSpecification, UnsuccessfulItem,
    VpcEndpointType,
};
use aws_sdk_sts::operation::RequestId as _;

use super::{
    super::error::{Malformed, needed, parsed},
    Ec2, facts, rules, strings,
};
use crate::aws::{
    AwsError, Ec2Write, EndpointChange, NetworkInterfaceId, NewVpcEndpoint, Rule, SecurityGroupId, Tags, VpcEndpointId,
    VpcId, Written,
};

impl Ec2 {
    pub(in crate::aws::sdk) async fn write(&self, write: &Ec2Write) -> Result<Written, AwsError> {
        match write {
            Ec2Write::CreateSecurityGroup { vpc, name, description, tags } => {
                self.create_security_group(vpc, name, description, tags).await
            }
            Ec2Write::AuthorizeSecurityGroupIngress { group, rules } => self.authorize_ingress(group, rules).await,
            Ec2Write::AuthorizeSecurityGroupEgress { group, rules } => self.authorize_egress(group, rules).await,
            Ec2Write::RevokeSecurityGroupIngress { group, rules } => self.revoke_ingress(group, rules).await,
            Ec2Write::RevokeSecurityGroupEgress { group, rules } => self.revoke_egress(group, rules).await,
            Ec2Write::DeleteSecurityGroup { group } => self.delete_security_group(group).await,
            Ec2Write::DeleteNetworkInterface { interface } => self.delete_network_interface(interface).await,
            Ec2Write::CreateVpcEndpoint(new) => self.create_vpc_endpoint(new).await,
            Ec2Write::ModifyVpcEndpoint { endpoint, change } => self.modify_vpc_endpoint(endpoint, change).await,
            Ec2Write::DeleteVpcEndpoints { endpoint } => self.delete_vpc_endpoint(endpoint).await,
            Ec2Write::CreateTags { resource, tags } => self.tag(resource, tags).await,
        }
    }

    async fn create_security_group(
        &self,
        vpc: &VpcId,
        name: &str,
        description: &str,
        tags: &Tags,
    ) -> Result<Written, AwsError> {
        const OPERATION: &str = "CreateSecurityGroup";
        let call = self
            .client
            .create_security_group()
            .vpc_id(vpc.as_str())
            .group_name(name)
            .description(description)
            .tag_specifications(tag_specification(ResourceType::SecurityGroup, tags))
            .send();
        let answer = self.calls.observed(OPERATION, call).await?;
        parsed(answer.group_id(), "GroupId")
            .map(Written::SecurityGroup)
            .map_err(|malformed| self.calls.malformed(OPERATION, malformed))
    }

    async fn authorize_ingress(&self, group: &SecurityGroupId, rules: &BTreeSet<Rule>) -> Result<Written, AwsError> {
        let call = self.client.authorize_security_group_ingress().group_id(group.as_str());
        let call = call.set_ip_permissions(Some(rules::group(rules))).send();
        self.calls.observed("AuthorizeSecurityGroupIngress", call).await.map(|_| Written::Done)
    }

    async fn authorize_egress(&self, group: &SecurityGroupId, rules: &BTreeSet<Rule>) -> Result<Written, AwsError> {
        let call = self.client.authorize_security_group_egress().group_id(group.as_str());
        let call = call.set_ip_permissions(Some(rules::group(rules))).send();
        self.calls.observed("AuthorizeSecurityGroupEgress", call).await.map(|_| Written::Done)
    }

    async fn revoke_ingress(&self, group: &SecurityGroupId, rules: &BTreeSet<Rule>) -> Result<Written, AwsError> {
        const OPERATION: &str = "RevokeSecurityGroupIngress";
        let call = self.client.revoke_security_group_ingress().group_id(group.as_str());
        let call = call.set_ip_permissions(Some(rules::group(rules))).send();
        let answer = self.calls.observed(OPERATION, call).await?;
        self.revoked(OPERATION, rules, answer.unknown_ip_permissions())
    }

    async fn revoke_egress(&self, group: &SecurityGroupId, rules: &BTreeSet<Rule>) -> Result<Written, AwsError> {
        const OPERATION: &str = "RevokeSecurityGroupEgress";
        let call = self.client.revoke_security_group_egress().group_id(group.as_str());
        let call = call.set_ip_permissions(Some(rules::group(rules))).send();
        let answer = self.calls.observed(OPERATION, call).await?;
        self.revoked(OPERATION, rules, answer.unknown_ip_permissions())
    }

    /// In a default VPC, EC2 answers with the rules that do not exist. In every other VPC, EC2 refuses the whole call.
    ///
    /// Source: EC2 API reference, "`RevokeSecurityGroupIngress`".
    fn revoked(
        &self,
        operation: &'static str,
        rules: &BTreeSet<Rule>,
        unknown: &[IpPermission],
    ) -> Result<Written, AwsError> {
        let unknown = rules::flatten(unknown).map_err(|malformed| self.calls.malformed(operation, malformed))?;
        Ok(Written::Revoked(rules.difference(&unknown).cloned().collect()))
    }

    async fn delete_security_group(&self, group: &SecurityGroupId) -> Result<Written, AwsError> {
        let call = self.client.delete_security_group().group_id(group.as_str()).send();
        self.calls.observed("DeleteSecurityGroup", call).await.map(|_| Written::Done)
    }

    async fn delete_network_interface(&self, interface: &NetworkInterfaceId) -> Result<Written, AwsError> {
        let call = self.client.delete_network_interface().network_interface_id(interface.as_str()).send();
        self.calls.observed("DeleteNetworkInterface", call).await.map(|_| Written::Done)
    }

    /// Sets all parameters. EC2's defaults are a Gateway endpoint, the VPC's default group, and a policy that allows everything.
    async fn create_vpc_endpoint(&self, new: &NewVpcEndpoint) -> Result<Written, AwsError> {
        const OPERATION: &str = "CreateVpcEndpoint";
        let call = self
            .client
            .create_vpc_endpoint()
            .vpc_endpoint_type(VpcEndpointType::Interface)
            .vpc_id(new.vpc.as_str())
            .service_name(&new.service_name)
            .set_subnet_ids(Some(strings(&new.subnets)))
            .set_security_group_ids(Some(strings(&new.security_groups)))
            .private_dns_enabled(new.private_dns)
            .ip_address_type(IpAddressType::Ipv4)
            .policy_document(new.policy.as_str())
            .client_token(&new.client_token)
            .tag_specifications(tag_specification(ResourceType::VpcEndpoint, &new.tags))
            .send();
        let answer = self.calls.observed(OPERATION, call).await?;
        needed(answer.vpc_endpoint(), "VpcEndpoint")
            .and_then(facts::endpoint_state)
            .map(|(id, state)| Written::VpcEndpoint(id, state))
            .map_err(|malformed| self.calls.malformed(OPERATION, malformed))
    }

    async fn modify_vpc_endpoint(
        &self,
        endpoint: &VpcEndpointId,
        change: &EndpointChange,
    ) -> Result<Written, AwsError> {
        let call = self
            .client
            .modify_vpc_endpoint()
            .vpc_endpoint_id(endpoint.as_str())
            .set_add_subnet_ids(strings_if_any(&change.add_subnets))
            .set_remove_subnet_ids(strings_if_any(&change.remove_subnets))
            .set_add_security_group_ids(strings_if_any(&change.add_security_groups))
            .set_remove_security_group_ids(strings_if_any(&change.remove_security_groups))
            .set_policy_document(change.policy.as_ref().map(|policy| policy.as_str().to_owned()))
            .set_private_dns_enabled(change.private_dns)
            .set_ip_address_type(change.address_families.as_ref().map(|families| families.as_str().into()))
            // The record types follow the address types: EC2 refuses records of another family.
            .set_dns_options(change.address_families.as_ref().map(|families| {
                DnsOptionsSpecification::builder().dns_record_ip_type(families.as_str().into()).build()
            }))
            .send();
        self.calls.observed("ModifyVpcEndpoint", call).await.map(|_| Written::Done)
    }

    /// EC2 answers 200 also when the endpoint was not deleted.
    async fn delete_vpc_endpoint(&self, endpoint: &VpcEndpointId) -> Result<Written, AwsError> {
        const OPERATION: &str = "DeleteVpcEndpoints";
        let call = self.client.delete_vpc_endpoints().vpc_endpoint_ids(endpoint.as_str()).send();
        let answer = self.calls.observed(OPERATION, call).await?;
        match answer.unsuccessful().first().and_then(UnsuccessfulItem::error) {
            Some(error) => {
                let (code, message) = (error.code().unwrap_or_default(), error.message().unwrap_or_default());
                Err(self.calls.refused(OPERATION, code, message, answer.request_id()))
            }
            None if answer.unsuccessful().is_empty() => Ok(Written::Done),
            None => Err(self.calls.malformed(OPERATION, Malformed::missing("Unsuccessful.Error"))),
        }
    }

    async fn tag(&self, resource: &str, tags: &Tags) -> Result<Written, AwsError> {
        let call = self.client.create_tags().resources(resource).set_tags(Some(wire_tags(tags))).send();
        self.calls.observed("CreateTags", call).await.map(|_| Written::Done)
    }
}

fn strings_if_any<T: ToString>(ids: &BTreeSet<T>) -> Option<Vec<String>> {
    (!ids.is_empty()).then(|| strings(ids))
}

fn wire_tags(tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

fn tag_specification(kind: ResourceType, tags: &Tags) -> TagSpecification {
    TagSpecification::builder().resource_type(kind).set_tags(Some(wire_tags(tags))).build()
}
