//! The flags about the log.

use clap::{Args, ValueEnum};

use super::super::Failure;
use crate::telemetry;

/// The form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// Lines of text for people.
    Text,
}

impl From<LogFormat> for telemetry::LogFormat {
    fn from(format: LogFormat) -> Self {
        match format {
            LogFormat::Json => Self::Json,
            LogFormat::Text => Self::Text,
        }
    }
}

/// The flags about the log of a command for people. The command's own lines go to standard output.
#[derive(Args, Debug)]
pub struct LogFlags {
    /// The form of the log on standard error.
    #[arg(long, env = "PGAI_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,

    /// The filter of the log, as `tracing` directives, such as `info` or `private_genai_operator=debug`.
    #[arg(long, env = "PGAI_LOG", default_value = "warn")]
    log: String,
}

impl LogFlags {
    /// Starts logging.
    ///
    /// # Errors
    /// The directives are not valid.
    pub fn start(&self) -> Result<(), Failure> {
        telemetry::start(&self.log, self.log_format.into()).map_err(Failure::Log)
    }
}
