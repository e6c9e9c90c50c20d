"""Errors in AWS's words. A handler raises one; `dispatch` writes it in the protocol of the service."""


class AwsError(Exception):
    def __init__(self, code: str, message: str, status: int = 400):
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


# The error of a missing EC2 resource, by the prefix of its id.
_NOT_FOUND = {
    "vpc": ("InvalidVpcID.NotFound", "The vpc ID '{}' does not exist"),
    "subnet": ("InvalidSubnetID.NotFound", "The subnet ID '{}' does not exist"),
    "rtb": ("InvalidRouteTableID.NotFound", "The routeTable ID '{}' does not exist"),
    "sg": ("InvalidGroup.NotFound", "The security group '{}' does not exist"),
    "sgr": ("InvalidSecurityGroupRuleId.NotFound", "The security group rule ID '{}' does not exist"),
    "eni": ("InvalidNetworkInterfaceID.NotFound", "The networkInterface ID '{}' does not exist"),
    "vpce": ("InvalidVpcEndpointId.NotFound", "The Vpc Endpoint Id '{}' does not exist"),
}


def not_found(resource_id: str) -> AwsError:
    code, message = _NOT_FOUND.get(resource_id.split("-")[0], ("InvalidID", "The ID '{}' is not valid"))
    return AwsError(code, message.format(resource_id))


def invalid_parameter(message: str) -> AwsError:
    """EC2's `InvalidParameter`, the error of PrivateLink."""
    return AwsError("InvalidParameter", message)


def invalid_value(message: str) -> AwsError:
    """EC2's `InvalidParameterValue`, the error of the rest of EC2."""
    return AwsError("InvalidParameterValue", message)
