//! The log.

use std::io::IsTerminal as _;

use tracing_subscriber::{
    EnvFilter, filter::LevelFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// The form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// Lines for people.
    Text,
}

/// Crates whose events may hold requests with environment values. They stay silent below `warn`, whatever the directives say.
const SILENCED: [&str; 5] = ["aws_smithy_runtime", "aws_smithy_runtime_api", "aws_config", "aws_sdk_lambda", "hyper"];

/// Starts logging to standard error.
///
/// # Errors
/// Directives that cannot be read.
pub fn start(directives: &str, format: LogFormat) -> Result<(), tracing_subscriber::filter::ParseError> {
    let mut filter = EnvFilter::try_new(directives)?;
    for target in SILENCED {
        filter = filter.add_directive(format!("{target}=warn").parse()?);
    }
    // At TRACE the AWS SDK logs whole answers with environment values: nothing can turn that on.
    let registry = tracing_subscriber::registry().with(filter).with(LevelFilter::DEBUG);
    match format {
        LogFormat::Json => registry.with(fmt::layer().json().with_writer(std::io::stderr)).init(),
        LogFormat::Text => {
            let colours = std::io::stderr().is_terminal();
            registry.with(fmt::layer().with_ansi(colours).with_writer(std::io::stderr)).init();
        }
    }
    Ok(())
}
