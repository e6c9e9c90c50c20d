//! What a request asks for: which operation of which service, where, with which parameters.

use std::{collections::BTreeMap, str::FromStr};

use axum::http::HeaderMap;
use percent_encoding::percent_decode_str;
use private_genai_operator::aws::{AwsError, Operation, Region, Tags};
use serde_json::Value;

use super::unreadable;

/// A call.
pub(super) struct Call {
    pub service: &'static str,
    pub operation: &'static str,
    pub region: Region,
    /// The parameters of a query, by the names on the wire.
    form: BTreeMap<String, String>,
    /// The body of a call in JSON.
    pub body: Value,
    /// The bytes of the body, where Lambda takes a payload.
    path: String,
}

impl Call {
    /// The call that a request is; `None` for an operation that the operator does not have. The scope of the signature names region and
    /// service, and any credentials will do.
    pub fn read(method: &str, target: &str, headers: &HeaderMap, body: &[u8]) -> Option<Self> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (_, scope) = text("authorization").split_once("Credential=")?;
        let mut scope = scope.split('/').skip(2);
        let (region, service) = (scope.next()?.parse().ok()?, scope.next()?);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut form = BTreeMap::new();
        let mut json = Value::Null;
        let name = match service {
            "ec2" | "iam" | "sts" => {
                form = form_urlencoded::parse(body).into_owned().collect();
                form.get("Action")?.clone()
            }
            "logs" => {
                json = serde_json::from_slice(body).ok()?;
                text("x-amz-target").rsplit('.').next()?.to_owned()
            }
            "lambda" => {
                form = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
                let name = lambda_operation(method, path)?;
                if name != "Invoke" && !body.is_empty() {
                    json = serde_json::from_slice(body).ok()?;
                }
                name.to_owned()
            }
            _ => return None,
        };
        let Operation { service, name, .. } = Operation::named(service, &name)?;
        Some(Self { service, operation: name, region, form, body: json, path: path.to_owned() })
    }

    pub fn content_type(&self) -> &'static str {
        match self.service {
            "lambda" => "application/json",
            "logs" => "application/x-amz-json-1.1",
            _ => "text/xml;charset=UTF-8",
        }
    }

    /// The last part of Lambda's path that names something: a function, or the ARN of what is tagged.
    pub fn resource<T: FromStr>(&self) -> Result<T, AwsError> {
        let name = self.path.split('/').nth(3).unwrap_or_default();
        self.parsed(&percent_decode_str(name).decode_utf8_lossy(), "the path")
    }

    /// A parameter of the query.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.form.get(name).map(String::as_str)
    }

    /// A parameter of the query that must be there.
    pub fn required<T: FromStr>(&self, name: &str) -> Result<T, AwsError> {
        self.parsed(self.query(name).unwrap_or_default(), name)
    }

    /// A member of the body that must be there.
    pub fn member<T: FromStr>(&self, name: &str) -> Result<T, AwsError> {
        self.parsed(self.body[name].as_str().unwrap_or_default(), name)
    }

    /// A map of tags in the body.
    pub fn tags(&self, name: &str) -> Tags {
        let tags = self.body[name].as_object().into_iter().flatten();
        tags.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
    }

    pub fn parsed<T: FromStr>(&self, text: &str, what: &str) -> Result<T, AwsError> {
        text.parse().map_err(|_| unreadable(self, what))
    }

    /// The names of the items of a list in the query: `Filter.1`, `Filter.2`, and so on.
    pub fn items(&self, list: &str) -> Vec<String> {
        let is_there = |item: &String| {
            let from = self.form.range::<String, _>(item..).next();
            from.is_some_and(|(key, _)| {
                key.strip_prefix(item.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
        };
        (1..=self.form.len()).map(|number| format!("{list}.{number}")).take_while(is_there).collect()
    }

    /// A list of ids in the query.
    pub fn ids<T: FromStr, C: FromIterator<T>>(&self, list: &str) -> Result<C, AwsError> {
        self.items(list).iter().map(|item| self.required(item)).collect()
    }

    /// A list of tags in the query.
    pub fn tag_list(&self, list: &str) -> Tags {
        let text = |name: String| self.query(&name).unwrap_or_default().to_owned();
        self.items(list).iter().map(|tag| (text(format!("{tag}.Key")), text(format!("{tag}.Value")))).collect()
    }

    /// The size of a page: the caller's wish, up to AWS's maximum; without a wish, AWS's default.
    pub fn page_size(&self, parameter: &str, by_itself: usize, at_most: usize) -> usize {
        self.query(parameter).and_then(|most| most.parse().ok()).unwrap_or(by_itself).min(at_most)
    }
}

fn lambda_operation(method: &str, path: &str) -> Option<&'static str> {
    let mut parts = path.split('/').skip(1);
    let (version, kind) = (parts.next()?, parts.next()?);
    let (name, what) = (parts.next().filter(|name| !name.is_empty()), parts.next());
    match (method, version, kind, name, what) {
        ("GET", "2015-03-31", "functions", None, None) => Some("ListFunctions"),
        ("POST", "2015-03-31", "functions", None, None) => Some("CreateFunction"),
        ("GET", "2015-03-31", "functions", Some(_), None) => Some("GetFunction"),
        ("DELETE", "2015-03-31", "functions", Some(_), None) => Some("DeleteFunction"),
        ("PUT", "2015-03-31", "functions", Some(_), Some("configuration")) => Some("UpdateFunctionConfiguration"),
        ("PUT", "2015-03-31", "functions", Some(_), Some("code")) => Some("UpdateFunctionCode"),
        ("POST", "2015-03-31", "functions", Some(_), Some("invocations")) => Some("Invoke"),
        ("POST", "2017-03-31", "tags", Some(_), None) => Some("TagResource"),
        _ => None,
    }
}
