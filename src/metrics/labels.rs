//! Values of labels: bounded, so that each metric has a known number of series.

/// The result of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProbeResult {
    /// The path works and is private.
    Proven,
    /// The name leads to other addresses than the endpoint's.
    NotPrivate,
    /// The path ends before the endpoint.
    Unreachable,
    /// The function failed.
    FunctionError,
    /// The function exceeded its time limit.
    TimedOut,
    /// The function gave another answer.
    Unreadable,
    /// The function sleeps, or is changing.
    NotReady,
    /// Lambda throttled the invocation.
    Throttled,
    /// Lambda refused the invocation for another reason, or did not answer.
    Refused,
}

impl ProbeResult {
    /// Every result.
    pub const ALL: &[Self] = &[
        Self::Proven,
        Self::NotPrivate,
        Self::Unreachable,
        Self::FunctionError,
        Self::TimedOut,
        Self::Unreadable,
        Self::NotReady,
        Self::Throttled,
        Self::Refused,
    ];

    /// The name in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::NotPrivate => "not_private",
            Self::Unreachable => "unreachable",
            Self::FunctionError => "function_error",
            Self::TimedOut => "timed_out",
            Self::Unreadable => "unreadable",
            Self::NotReady => "not_ready",
            Self::Throttled => "throttled",
            Self::Refused => "refused",
        }
    }
}
