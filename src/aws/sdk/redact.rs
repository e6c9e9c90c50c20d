//! Lambda quotes the refused input: "… exceeded the 4KB limit. String measured: {…}" holds all environment variables. No value of
//! these may reach a log, an Event or a status.

use std::cmp::Reverse;

use crate::aws::{AwsError, Environment};

/// Values of this length are also redacted inside words. Shorter values would destroy ordinary words.
const TELLING: usize = 6;

/// The error without the values of this environment.
pub(super) fn redacted(error: AwsError, environment: &Environment) -> AwsError {
    let mut values: Vec<String> = environment.variables().values().flat_map(|value| spellings(value)).collect();
    values.sort_by_key(|value| Reverse(value.len()));
    let message = values.iter().fold(error.message, |message, value| without(&message, value));
    AwsError { message, ..error }
}

/// A value, unquoted and as JSON.
fn spellings(value: &str) -> [String; 2] {
    let json = serde_json::Value::from(value).to_string();
    [value.to_owned(), json.trim_matches('"').to_owned()]
}

fn without(text: &str, value: &str) -> String {
    if value.is_empty() {
        return text.to_owned();
    }
    let mut kept = String::with_capacity(text.len());
    let mut end = 0;
    for (start, found) in text.match_indices(value) {
        let (before, after) = (&text[..start], &text[start + found.len()..]);
        let whole_word = !before.ends_with(char::is_alphanumeric) && !after.starts_with(char::is_alphanumeric);
        if whole_word || found.len() >= TELLING {
            kept.push_str(&text[end..start]);
            kept.push_str("***");
            end = start + found.len();
        }
    }
    kept.push_str(&text[end..]);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::Failure;

    fn redact(message: &str, values: &[&str]) -> String {
        let variables = values.iter().enumerate().map(|(i, value)| (format!("KEY{i}"), (*value).to_owned()));
        let error = AwsError {
            service: "lambda",
            operation: "CreateFunction",
            failure: Failure::Invalid,
            code: Some("InvalidParameterValueException".into()),
            message: message.into(),
            request_id: None,
        };
        redacted(error, &Environment::new(variables.collect())).message
    }

    #[test]
    fn lambda_quotes_the_environment_and_we_do_not() {
        assert_eq!(
            redact(
                r#"exceeded the 4KB limit. String measured: {"KEY0":"hunter2","KEY1":"a\"b\nc","KEY2":"eu"}"#,
                &["hunter2", "a\"b\nc", "eu"]
            ),
            r#"exceeded the 4KB limit. String measured: {"KEY0":"***","KEY1":"***","KEY2":"***"}"#
        );
    }

    #[test]
    fn a_value_is_found_inside_words_and_one_that_holds_another_goes_first() {
        assert_eq!(redact("xhunter2x hunter2hunter2", &["hunter2", "hunter2hunter2"]), "x***x ***");
    }

    #[test]
    fn short_and_empty_values_leave_ordinary_words_alone() {
        assert_eq!(redact("The runtime parameter is not supported", &["e", "", "not"]), {
            "The runtime parameter is *** supported"
        });
    }
}
