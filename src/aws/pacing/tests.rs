use super::*;

const ENDPOINTS: Rate = Rate::per_thousand_seconds(4, 300);

fn at(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Takes a token that comes within a time, and tells the wait for it.
fn take(bucket: &mut Bucket, now: Duration, at_most: Duration) -> Result<Duration, Duration> {
    let wait = bucket.wait_for(1, now);
    if wait > at_most {
        return Err(wait);
    }
    bucket.spend(now);
    Ok(wait)
}

/// The number of tokens that a caller gets within a time if it always waits.
fn within(bucket: &mut Bucket, from: Duration, time: Duration) -> usize {
    (0..1_000).take_while(|_| take(bucket, from, time).is_ok()).count()
}

#[test]
fn every_call_has_the_rate_that_aws_publishes_for_it() {
    let table = [
        ("ec2", "CreateVpcEndpoint", Some((4, 300))),
        ("ec2", "ModifyVpcEndpoint", Some((4, 300))),
        ("ec2", "DeleteVpcEndpoints", Some((4, 300))),
        ("ec2", "DescribeVpcEndpoints", Some((100, 20_000))),
        ("ec2", "DescribeSecurityGroups", Some((100, 20_000))),
        ("ec2", "CreateSecurityGroup", Some((50, 5_000))),
        ("ec2", "AuthorizeSecurityGroupIngress", Some((50, 5_000))),
        ("ec2", "CreateTags", Some((100, 10_000))),
        ("ec2", "DeleteNetworkInterface", Some((100, 5_000))),
        ("lambda", "GetFunction", Some((100, 100_000))),
        ("lambda", "ListFunctions", Some((15, 15_000))),
        ("lambda", "CreateFunction", Some((15, 15_000))),
        ("lambda", "Invoke", None),
        ("logs", "CreateLogGroup", Some((10, 10_000))),
        ("logs", "DescribeLogGroups", Some((10, 10_000))),
        ("logs", "PutRetentionPolicy", Some((5, 5_000))),
        ("logs", "ListTagsForResource", Some((5, 5_000))),
        ("sts", "GetCallerIdentity", Some((600, 600_000))),
    ];
    for (service, operation, rate) in table {
        let family = Family::of(service, operation);
        assert_eq!(family.map(|family| (family.rate.burst, family.rate.sustained)), rate, "{service}:{operation}");
    }
}

#[test]
fn a_share_of_a_rate_is_that_part_of_burst_and_of_what_follows_and_never_nothing() {
    let share = |percent: u8| percent.to_string().parse::<Share>().expect("a share");
    let rate = |service, operation| Family::of(service, operation).expect("a family").rate;
    let scaled = |rate: Rate, percent| (rate.scaled(share(percent)).burst, rate.scaled(share(percent)).sustained);
    let describes = rate("ec2", "DescribeVpcs");
    let table = [
        (describes, 100, (100, 20_000)),
        (describes, 50, (50, 10_000)),
        (describes, 1, (1, 200)),
        (ENDPOINTS, 100, (4, 300)),
        (ENDPOINTS, 50, (2, 150)),
        (ENDPOINTS, 30, (1, 90)),
        (ENDPOINTS, 1, (1, 3)),
        (rate("sts", "GetCallerIdentity"), 25, (150, 150_000)),
        (Rate::per_thousand_seconds(1, 1), 1, (1, 1)),
        (Rate::even(u32::MAX), 100, (u32::MAX, u64::from(u32::MAX) * 1_000)),
    ];
    for (rate, percent, expected) in table {
        assert_eq!(scaled(rate, percent), expected, "{percent} % of {rate:?}");
    }
    assert_eq!(share(100), Share::ALL);
    for wrong in ["", "0", "101", "256", "-1", "50%", "0.5"] {
        let message = wrong.parse::<Share>().expect_err(wrong).to_string();
        assert!(message.contains("1 to 100"), "{message}");
    }
}

#[test]
fn lambda_calls_share_a_bucket_ec2_calls_have_their_own_and_iam_has_no_region() {
    let family = |service, operation| Family::of(service, operation).expect("a family");
    assert_eq!(family("lambda", "ListFunctions"), family("lambda", "CreateFunction"));
    assert_ne!(family("lambda", "ListFunctions"), family("lambda", "GetFunction"));
    assert_ne!(family("ec2", "DescribeVpcs"), family("ec2", "DescribeSubnets"));
    assert_eq!(family("iam", "CreateRole"), family("iam", "PutRolePolicy"));
    assert_ne!(family("iam", "CreateRole"), family("iam", "GetRole"));
    assert!(family("iam", "GetRole").global && !family("ec2", "DescribeVpcs").global);
}

#[test]
fn as_many_as_fit_go_at_once_and_the_others_one_after_the_other() {
    let mut bucket = Bucket::full(Rate::per_second(3, 2), at(0));
    let waits: Vec<_> = (0..6).map(|_| take(&mut bucket, at(0), LONGEST_HOLD)).collect();
    assert_eq!(waits, [0, 0, 0, 500, 1_000, 1_500].map(|wait| Ok(at(wait))), "in the order of asking");
    assert_eq!(take(&mut bucket, at(1_500), LONGEST_HOLD), Ok(at(500)), "promised tokens are not given twice");
    assert_eq!(take(&mut bucket, at(10_000), LONGEST_HOLD), Ok(at(0)), "and it fills up again");
    let mut bucket = Bucket::full(Rate::per_second(3, 2), at(0));
    assert_eq!(within(&mut bucket, at(86_400_000), at(0)), 3, "but not to more than it holds");
}

#[test]
fn a_token_that_would_come_too_late_is_not_taken() {
    let mut bucket = Bucket::full(ENDPOINTS, at(0));
    assert_eq!(within(&mut bucket, at(0), LONGEST_HOLD), 5, "four at once, one within five seconds");
    let refused = take(&mut bucket, at(0), LONGEST_HOLD).expect_err("too late");
    assert!(refused > at(6_000) && refused < at(7_000), "{refused:?}");
    let before = bucket.clone();
    assert!(take(&mut bucket, at(0), LONGEST_HOLD).is_err());
    assert_eq!(bucket, before, "whoever is refused takes nothing from those who wait");
    assert_eq!(take(&mut bucket, at(7_000), LONGEST_HOLD), Ok(at(0)));
}

#[test]
fn a_throttled_answer_halves_the_rate_once_a_second_and_never_to_nothing() {
    let mut bucket = Bucket::full(Rate::per_second(8, 8), at(0));
    let seen: Vec<u64> = [0, 10, 20, 1_000, 1_100, 2_000, 3_000, 4_000]
        .map(|now| {
            bucket.throttled(at(now));
            bucket.sustained
        })
        .into();
    assert_eq!(seen, [4_000, 4_000, 4_000, 2_000, 2_000, 1_000, 1_000, 1_000]);
    assert_eq!(take(&mut bucket, at(4_000), LONGEST_HOLD), Ok(at(1_000)), "AWS's own bucket is empty");
}

#[test]
fn answers_raise_the_rate_again_step_by_step_to_what_is_published_and_no_further() {
    let mut bucket = Bucket::full(Rate::per_second(16, 16), at(0));
    bucket.throttled(at(0));
    let mut seen = Vec::new();
    for second in 1..=9 {
        bucket.accepted(at(second * 1_000), true);
        bucket.accepted(at(second * 1_000 + 1), true);
        seen.push(bucket.sustained / 1_000);
    }
    assert_eq!(seen, [9, 10, 11, 12, 13, 14, 15, 16, 16]);
    bucket.throttled(at(9_500));
    assert_eq!(bucket.sustained, 8_000, "it slows down at once: full speed was no change");
}

#[test]
fn no_time_and_no_rate_overflows() {
    let mut bucket = Bucket::full(Rate::even(u32::MAX), at(0));
    let far = Duration::from_secs(u64::MAX / 2);
    assert_eq!(take(&mut bucket, far, LONGEST_HOLD), Ok(at(0)));
    bucket.throttled(far);
    assert_eq!(take(&mut bucket, at(0), LONGEST_HOLD).map(|wait| wait < at(1)), Ok(true), "a clock never goes back");
}

#[test]
fn a_guessed_rate_is_explored_while_calls_wait_and_rests_after_a_throttle() {
    let mut bucket = Bucket::full(Rate::per_second(16, 16), at(0)).explored_to(Rate::per_second(16, 18));
    let mut rates = |seconds: std::ops::Range<u64>, is_waited_for| {
        for second in seconds {
            bucket.accepted(at(second * 1_000), is_waited_for);
        }
        bucket.sustained / 1_000
    };
    assert_eq!(rates(0..100, false), 16, "nobody needs more");
    assert_eq!(rates(100..105, true), 17);
    assert_eq!(rates(105..200, true), 18, "and no further than the ceiling");
    bucket.throttled(at(200_000));
    assert_eq!(bucket.sustained, 9_000);
    bucket.throttled(at(201_000));
    let mut rates = |seconds: std::ops::Range<u64>| {
        for second in seconds {
            bucket.accepted(at(second * 1_000), true);
        }
        bucket.sustained / 1_000
    };
    assert_eq!(rates(202..801), 16, "ten minutes of rest");
    assert_eq!(rates(801..820), 18);
    let mut bucket = Bucket::full(Rate::per_second(16, 16), at(0)).explored_to(Rate::per_second(16, 32));
    for second in 0..20 {
        bucket.accepted(at(second * 1_000), true);
    }
    assert_eq!(bucket.sustained, 20_000);
    bucket.throttled(at(20_000));
    assert_eq!(bucket.sustained, 10_000);
}

#[test]
fn only_the_rates_that_aws_does_not_publish_may_be_explored() {
    for operation in Operation::all() {
        let family = Family::of(operation.service, operation.name);
        let ceiling = family.and_then(|family| family.ceiling);
        assert_eq!(ceiling.is_some(), operation.service == "iam", "{operation}");
        if let (Some(family), Some(ceiling)) = (family, ceiling) {
            assert_eq!(
                (ceiling.burst, ceiling.sustained),
                (family.rate.burst, 4 * family.rate.sustained),
                "{operation}"
            );
        }
    }
}
