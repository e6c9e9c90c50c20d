//! The one place that every AWS call passes. The call waits for its turn, is timed and counted, and an SDK error becomes an
//! [`AwsError`].
//!
//! Requests and answers are never printed: they hold environment values of functions.

use std::{
    error::Error,
    fmt::Display,
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use aws_sdk_sts::operation::RequestId;
use aws_smithy_async::future::pagination_stream::PaginationStream;
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::error::{self, Malformed};
use crate::aws::{AwsError, Failure, Region, pacing::Pacer};

/// A call, with its transport retries. Each page of a list is a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRecord {
    /// The service prefix, as IAM names it.
    pub service: &'static str,
    /// The operation, as AWS's API reference names it.
    pub operation: &'static str,
    /// `OK`, AWS's error code, or the name of the [`Failure`](crate::aws::Failure) if AWS gave no code.
    pub code: String,
    /// AWS throttled the call.
    pub throttled: bool,
    /// The time from the first attempt to the end of the last one, without the wait for the call's turn.
    pub duration: Duration,
}

/// Receives every call; must not block.
pub type OnCall = Arc<dyn Fn(&CallRecord) + Send + Sync>;

/// The common parts of all calls in one region.
#[derive(Clone)]
pub(super) struct RegionCalls {
    pub(super) region: Region,
    pub(super) pacer: Arc<Pacer>,
    pub(super) on_call: OnCall,
}

/// The common parts of the calls of one service in one region.
#[derive(Clone)]
pub(super) struct Calls {
    service: &'static str,
    line: RegionCalls,
}

/// One page of a list.
pub(super) trait Page {
    /// Another page follows.
    fn has_next(&self) -> bool;
}

/// Declares which answers are pages, and which of their members leads to the next page.
macro_rules! pages {
    ($($page:ty: $next:ident),* $(,)?) => {
        $(impl crate::aws::sdk::calls::Page for $page {
            fn has_next(&self) -> bool {
                self.$next().is_some_and(|next| !next.is_empty())
            }
        })*
    };
}
pub(super) use pages;

impl Calls {
    pub(super) fn of(service: &'static str, line: &RegionCalls) -> Self {
        Self { service, line: line.clone() }
    }

    /// Waits until a call may be made.
    async fn turn(&self, operation: &'static str) -> Result<(), AwsError> {
        self.line.pacer.turn(&self.line.region, self.service, operation).await
    }

    /// Makes one call.
    pub(super) async fn observed<T: RequestId, E: Error + ProvideErrorMetadata + 'static>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, AwsError> {
        self.turn(operation).await?;
        let begun = Instant::now();
        let answer = call.await;
        self.ended(operation, begun, answer)
    }

    /// Makes the calls that read all pages of a list. Each page becomes rows and is dropped before the next one is asked for:
    /// `items` takes them from a page, `read` reads one, or leaves it out.
    pub(super) async fn rows<P: Page + RequestId, E: Error + ProvideErrorMetadata + 'static, S, T>(
        &self,
        operation: &'static str,
        mut pages: PaginationStream<Result<P, SdkError<E, HttpResponse>>>,
        items: fn(&P) -> &[S],
        mut read: impl FnMut(&S) -> Option<Result<T, Malformed>>,
    ) -> Result<Vec<T>, AwsError> {
        let mut rows = Vec::new();
        // Nothing is asked of AWS to find out that a page was the last one: it says so itself.
        let mut has_next = true;
        while has_next {
            self.turn(operation).await?;
            let begun = Instant::now();
            let Some(page) = pages.next().await else { break };
            let page = self.ended(operation, begun, page)?;
            for row in items(&page).iter().filter_map(&mut read) {
                rows.push(row.map_err(|malformed| self.malformed(operation, malformed))?);
            }
            has_next = page.has_next();
        }
        Ok(rows)
    }

    /// Reads all pages of a list into facts: `items` takes the items from a page, `fact` reads one item.
    pub(super) async fn list<P: Page + RequestId, E: Error + ProvideErrorMetadata + 'static, S, T>(
        &self,
        operation: &'static str,
        pages: PaginationStream<Result<P, SdkError<E, HttpResponse>>>,
        items: fn(&P) -> &[S],
        fact: fn(&S) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, AwsError> {
        self.rows(operation, pages, items, |item| Some(fact(item))).await
    }

    /// Like [`Self::list`], for a list with foreign resources: an unreadable resource that `could_be_ours` rejects is left out.
    pub(super) async fn list_readable<P: Page + RequestId, E: Error + ProvideErrorMetadata + 'static, S, T>(
        &self,
        operation: &'static str,
        pages: PaginationStream<Result<P, SdkError<E, HttpResponse>>>,
        items: fn(&P) -> &[S],
        fact: fn(&S) -> Result<T, Malformed>,
        could_be_ours: fn(&S) -> bool,
    ) -> Result<Vec<T>, AwsError> {
        let read = |item: &S| match fact(item) {
            Err(malformed) if !could_be_ours(item) => {
                tracing::debug!(service = self.service, operation, %malformed, "left out");
                None
            }
            answer => Some(answer),
        };
        self.rows(operation, pages, items, read).await
    }

    /// The error for an answer that lacks something.
    pub(super) fn malformed(&self, operation: &'static str, malformed: Malformed) -> AwsError {
        malformed.in_answer_to(self.service, operation)
    }

    /// The error for a call that could not be built.
    pub(super) fn invalid(&self, operation: &'static str, why: &dyn Display) -> AwsError {
        error::invalid(self.service, operation, why)
    }

    /// The error for an error inside a successful answer.
    pub(super) fn refused(
        &self,
        operation: &'static str,
        code: &str,
        message: &str,
        request_id: Option<&str>,
    ) -> AwsError {
        error::answered(self.service, operation, 200, Some(code), Some(message), request_id)
    }

    fn ended<T: RequestId, E: Error + ProvideErrorMetadata + 'static>(
        &self,
        operation: &'static str,
        begun: Instant,
        answer: Result<T, SdkError<E, HttpResponse>>,
    ) -> Result<T, AwsError> {
        let duration = begun.elapsed();
        let answer = answer.map_err(|error| error::from_sdk(self.service, operation, &error));
        let (code, request_id) = match &answer {
            Ok(output) => ("OK".to_owned(), output.request_id()),
            Err(error) => {
                (error.code.clone().unwrap_or_else(|| format!("{:?}", error.failure)), error.request_id.as_deref())
            }
        };
        if let Some(request_id) = request_id {
            // The error is about the step of the call: the last of several calls.
            tracing::Span::current().record("request_id", request_id);
        }
        tracing::debug!(
            service = self.service,
            operation,
            code,
            request_id = request_id.unwrap_or_default(),
            duration_ms = duration.as_millis(),
            "aws"
        );
        let failure = answer.as_ref().err().map(|error| error.failure);
        self.line.pacer.ended(&self.line.region, self.service, operation, failure);
        let throttled = failure == Some(Failure::Throttled);
        (self.line.on_call)(&CallRecord { service: self.service, operation, code, throttled, duration });
        answer
    }
}
