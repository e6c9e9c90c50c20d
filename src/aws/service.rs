//! The AWS services that apps reach through endpoints.

use super::{Partition, Region};

/// A service that an endpoint leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Model invocation in Amazon Bedrock.
    BedrockRuntime,
}

impl Service {
    /// Every service.
    pub const ALL: &[Self] = &[Self::BedrockRuntime];

    /// The short name, as status and tags show it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BedrockRuntime => "bedrock-runtime",
        }
    }

    /// The name of the endpoint service in a region.
    pub fn endpoint_service(self, region: &Region) -> String {
        format!("com.amazonaws.{region}.{}", self.as_str())
    }

    /// The region of an endpoint service of that name, if it is this service's.
    pub fn region_of(self, endpoint_service: &str) -> Option<Region> {
        let region = endpoint_service.strip_prefix("com.amazonaws.")?.strip_suffix(self.as_str())?;
        region.strip_suffix('.')?.parse().ok()
    }

    /// The service's public name in a region ("Service endpoints" of the AWS General Reference).
    pub fn public_name(self, region: &Region) -> String {
        let domain = match region.partition() {
            Partition::Aws | Partition::AwsUsGov => "amazonaws.com",
            Partition::AwsCn => "amazonaws.com.cn",
        };
        format!("{}.{region}.{domain}", self.as_str())
    }

    /// The variable by which AWS SDKs take another address for the service ("Service-specific endpoints" of the AWS
    /// SDKs and Tools reference guide).
    pub fn endpoint_url_variable(self) -> &'static str {
        match self {
            Self::BedrockRuntime => "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
        }
    }
}
