//! Log groups of CloudWatch Logs.

use private_genai_operator::aws::{Failure, LogGroup, LogsWrite};

use super::{fact::facts, ground::Ground};

facts! {
    "a log group is created once, and deleted once",
    "CloudWatch Logs API reference, CreateLogGroup: ResourceAlreadyExistsException; DeleteLogGroup: ResourceNotFoundException",
    life;
    "events are kept for ever until a retention is set, which is one of the numbers of days that the API takes",
    "CloudWatch Logs API reference, PutRetentionPolicy: InvalidParameterException",
    retention;
    "a log group is tagged by its ARN without the star behind it, beside the tags that it has",
    "CloudWatch Logs API reference, TagResource, ListTagsForResource",
    tags;
}

fn name(on: &Ground) -> private_genai_operator::aws::LogGroupName {
    format!("/aws/lambda/{}", on.mark).parse().expect("a log group name")
}

fn create(on: &Ground) -> LogsWrite {
    LogsWrite::CreateLogGroup { name: name(on), tags: on.tags() }
}

async fn see(on: &Ground, is: impl Fn(&LogGroup) -> bool) -> LogGroup {
    on.until("the log group is as it was written", async || {
        let found = on.aws.log_groups(&on.region, name(on).as_str()).await.expect("log groups");
        found.into_iter().find(&is)
    })
    .await
}

async fn life(on: &Ground) {
    let delete = || LogsWrite::DeleteLogGroup { name: name(on) };
    on.refuses(delete(), "ResourceNotFoundException", Failure::NotFound).await;
    on.takes(create(on)).await;
    on.refuses(create(on), "ResourceAlreadyExistsException", Failure::AlreadyExists).await;
    see(on, |_| true).await;
    on.takes(delete()).await;
    on.refuses(delete(), "ResourceNotFoundException", Failure::NotFound).await;
}

async fn retention(on: &Ground) {
    let keep = |days| LogsWrite::PutRetentionPolicy { name: name(on), days };
    on.refuses(keep(30), "ResourceNotFoundException", Failure::NotFound).await;
    on.takes(create(on)).await;
    assert_eq!(see(on, |_| true).await.retention_days, None);
    for days in [2, 31] {
        on.refuses(keep(days), "InvalidParameterException", Failure::Invalid).await;
    }
    on.takes(keep(30)).await;
    see(on, |group| group.retention_days == Some(30)).await;
}

async fn tags(on: &Ground) {
    on.takes(create(on)).await;
    let group = see(on, |_| true).await;
    let tag = |arn: String| LogsWrite::TagResource { arn, tags: [("owner".to_owned(), "team".to_owned())].into() };
    on.takes(tag(group.arn.clone())).await;
    on.until("both tags are there", async || {
        let tags = on.aws.log_group_tags(&on.region, &group).await.expect("an answer").expect("the group");
        (tags.len() == 2 && tags["owner"] == "team").then_some(())
    })
    .await;
    let missing = format!("{}-missing", group.arn);
    on.refuses(tag(missing.clone()), "ResourceNotFoundException", Failure::NotFound).await;
    let missing = LogGroup { arn: missing, ..group };
    assert_eq!(on.aws.log_group_tags(&on.region, &missing).await.expect("an answer"), None);
}
