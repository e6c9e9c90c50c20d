//! Values of labels: bounded, so that a metric has a known number of series.

/// The result of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProbeResult {
    /// The path is private, and there.
    Proven,
    /// The name leads past the endpoint.
    NotPrivate,
    /// The way ends before the endpoint.
    Unreachable,
    /// The function failed.
    FunctionError,
    /// The function ran into its time limit.
    TimedOut,
    /// The function answered something else.
    Unreadable,
    /// The function sleeps, or changes.
    NotReady,
    /// Lambda throttled the invocation.
    Throttled,
    /// Lambda refused the invocation otherwise, or did not answer.
    Refused,
}

impl ProbeResult {
    /// Every one.
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
