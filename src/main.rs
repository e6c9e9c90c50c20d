//! Parse the arguments, do what they say.

use std::process::ExitCode;

use private_genai_operator::cli::Cli;

#[tokio::main]
async fn main() -> ExitCode {
    match Box::pin(Cli::from_arguments().execute()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            #[expect(
                clippy::print_stderr,
                reason = "the cause that keeps the program from starting is printed for the person who started it"
            )]
            {
                eprintln!("private-genai-operator: {failure}.");
            }
            failure.exit_code()
        }
    }
}
