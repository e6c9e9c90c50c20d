//! Looks at the interfaces of a VPC: one serves all that need one from a time on.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::time::Instant;

use super::{Since, Snapshot, row_table::BELIEVED_FOR};
use crate::aws::{AwsError, NetworkInterface, NetworkInterfaceId, VpcId};

/// The last look at each VPC.
#[derive(Default)]
pub(super) struct InterfaceLooks(Mutex<BTreeMap<VpcId, Arc<tokio::sync::Mutex<Option<Look>>>>>);

struct Look {
    begun: Since,
    at: Instant,
    interfaces: Arc<BTreeMap<NetworkInterfaceId, NetworkInterface>>,
}

impl InterfaceLooks {
    pub(super) fn forget(&self, vpc: &VpcId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(vpc);
    }
}

impl Snapshot {
    /// The interfaces of a VPC, by a look that began after this time, and not long ago: functions that are gone since cause no
    /// more interfaces.
    ///
    /// # Errors
    /// As `DescribeNetworkInterfaces`.
    pub async fn vpc_interfaces_since(
        &self,
        vpc: &VpcId,
        since: Since,
    ) -> Result<Arc<BTreeMap<NetworkInterfaceId, NetworkInterface>>, AwsError> {
        let last = {
            let mut looks = self.interface_looks.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(looks.entry(vpc.clone()).or_default())
        };
        let mut last = last.lock().await;
        if let Some(look) = last.as_ref().filter(|look| look.begun > since && look.at.elapsed() < BELIEVED_FOR) {
            return Ok(Arc::clone(&look.interfaces));
        }
        let (begun, at) = (self.since_now(), Instant::now());
        let interfaces = Arc::new(self.vpc_interfaces(vpc).await?);
        *last = Some(Look { begun, at, interfaces: Arc::clone(&interfaces) });
        Ok(interfaces)
    }
}
