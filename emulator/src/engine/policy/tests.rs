//! What policies say, as a table; and what is no policy.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::{Access, Decision, Kind, Policy};

const OWN: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
const CONSUMER: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s/consumer/c:5";
const FRIEND: &str = "111111111111";
const USER: &str = "arn:aws:iam::111111111111:user/u";

/// The first statement, with these members over those of one that allows everything.
fn statement(more: &Value) -> Value {
    let mut statement = json!({
        "Effect": "Allow", "Principal": "*", "Action": "kinesis:*", "Resource": OWN,
    });
    for (name, member) in more.as_object().unwrap() {
        let statement = statement.as_object_mut().unwrap();
        if member.is_null() {
            statement.remove(name);
        } else {
            statement.insert(name.clone(), member.clone());
        }
    }
    statement
}

fn known(key: &str) -> Option<Cow<'static, str>> {
    let value = match key {
        "aws:username" => "u",
        "aws:sourceip" => "10.1.2.3",
        "aws:securetransport" => "true",
        "aws:epochtime" => "1700000000",
        "aws:principalarn" => USER,
        _ => return None,
    };
    Some(value.into())
}

/// What a policy on the stream says when the user reads records.
fn decide(statements: &Value) -> Decision {
    let policy = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
    let policy = Policy::parse(&policy, Kind::Stream, OWN).unwrap();
    policy.decide(&Access {
        action: "kinesis:GetRecords",
        resource: OWN,
        account: FRIEND,
        principal: USER,
        context: &known,
    })
}

#[test]
fn elements_of_a_statement_say_whom_and_what_it_means() {
    use Decision::{Allowed, Unsaid};
    let role = "arn:aws:iam::111111111111:role/r";
    let other = "arn:aws:kinesis:us-east-1:000000000000:stream/t";
    for (more, decision) in [
        (json!({}), Allowed),
        (json!({"Principal": {"AWS": "*"}}), Allowed),
        (json!({"Principal": {"AWS": FRIEND}}), Allowed),
        (
            json!({"Principal": {"AWS": "arn:aws:iam::111111111111:root"}}),
            Allowed,
        ),
        (json!({"Principal": {"AWS": "222222222222"}}), Unsaid),
        (
            json!({"Principal": {"AWS": ["222222222222", FRIEND]}}),
            Allowed,
        ),
        (json!({"Principal": {"AWS": USER}}), Allowed),
        (json!({"Principal": {"AWS": role}}), Unsaid),
        (
            json!({"Principal": {"AWS": "arn:aws:sts::111111111111:assumed-role/r/s"}}),
            Unsaid,
        ),
        (
            json!({"Principal": {"Service": "lambda.amazonaws.com"}}),
            Unsaid,
        ),
        (
            json!({"Principal": {"Service": "lambda.amazonaws.com", "AWS": FRIEND}}),
            Allowed,
        ),
        (
            json!({"Principal": null, "NotPrincipal": {"AWS": FRIEND}}),
            Unsaid,
        ),
        (
            json!({"Principal": null, "NotPrincipal": {"AWS": role}}),
            Allowed,
        ),
        (json!({"Action": "*"}), Allowed),
        (json!({"Action": "kinesis:Get*"}), Allowed),
        (json!({"Action": "KINESIS:getrecords"}), Allowed),
        (json!({"Action": "kinesis:GetRecord?"}), Allowed),
        (
            json!({"Action": ["kinesis:PutRecord", "kinesis:GetRecords"]}),
            Allowed,
        ),
        (json!({"Action": "kinesis:Put*"}), Unsaid),
        (
            json!({"Action": null, "NotAction": "kinesis:PutRecord*"}),
            Allowed,
        ),
        (json!({"Action": null, "NotAction": "kinesis:*"}), Unsaid),
        (json!({"Resource": "*"}), Allowed),
        (json!({"Resource": "arn:aws:kinesis:*:*:stream/*"}), Allowed),
        (json!({"Resource": [other, OWN]}), Allowed),
        (json!({"Resource": null, "NotResource": other}), Allowed),
    ] {
        let mut full = statement(&more);
        assert_eq!(decide(&json!([full])), decision, "{more}");
        // A statement may stand outside of a list, and what allows may as well deny.
        full["Effect"] = json!("Deny");
        let denial = match decision {
            Allowed => Decision::Denied,
            Unsaid | Decision::Denied => Unsaid,
        };
        assert_eq!(decide(&full), denial, "{more}");
    }
}

#[test]
fn a_denial_wins_wherever_it_stands() {
    let (allow, deny) = (statement(&json!({})), statement(&json!({"Effect": "Deny"})));
    assert_eq!(decide(&json!([allow, deny])), Decision::Denied);
    assert_eq!(decide(&json!([deny, allow])), Decision::Denied);
    let elsewhere = statement(&json!({"Effect": "Deny", "Action": "kinesis:PutRecord"}));
    assert_eq!(decide(&json!([elsewhere, allow])), Decision::Allowed);
    assert_eq!(decide(&json!([elsewhere])), Decision::Unsaid);
}

#[test]
fn conditions_hold_as_their_operators_say() {
    for (condition, holds) in [
        (json!({"StringEquals": {"aws:UserName": "u"}}), true),
        (json!({"StringEquals": {"aws:username": ["x", "u"]}}), true),
        (json!({"StringEquals": {"aws:username": "U"}}), false),
        (
            json!({"StringEqualsIgnoreCase": {"aws:username": "U"}}),
            true,
        ),
        (json!({"StringNotEquals": {"aws:username": "u"}}), false),
        (
            json!({"StringNotEquals": {"aws:username": ["x", "y"]}}),
            true,
        ),
        (
            json!({"StringNotEqualsIgnoreCase": {"aws:username": "U"}}),
            false,
        ),
        (
            json!({"StringLike": {"aws:PrincipalArn": "*:user/?"}}),
            true,
        ),
        (
            json!({"StringNotLike": {"aws:PrincipalArn": "*:user/?"}}),
            false,
        ),
        (
            json!({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/*"}}),
            true,
        ),
        (
            json!({"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::*:role/*"}}),
            false,
        ),
        (
            json!({"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/*"}}),
            true,
        ),
        (json!({"Bool": {"aws:SecureTransport": "true"}}), true),
        (json!({"Bool": {"aws:SecureTransport": false}}), false),
        (
            json!({"IpAddress": {"aws:SourceIp": ["192.168.0.0/16", "10.0.0.0/8"]}}),
            true,
        ),
        (
            json!({"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}),
            false,
        ),
        (
            json!({"NumericLessThan": {"aws:EpochTime": "1700000001"}}),
            true,
        ),
        (
            json!({"NumericLessThan": {"aws:EpochTime": 1_700_000_000}}),
            false,
        ),
        (
            json!({"NumericLessThanEquals": {"aws:EpochTime": 1_700_000_000}}),
            true,
        ),
        (json!({"NumericGreaterThan": {"aws:EpochTime": 1.5}}), true),
        (
            json!({"NumericEquals": {"aws:EpochTime": [1, 1_700_000_000]}}),
            true,
        ),
        (json!({"NumericNotEquals": {"aws:EpochTime": 1}}), true),
        (
            json!({"DateGreaterThan": {"aws:EpochTime": "2023-01-01"}}),
            true,
        ),
        (
            json!({"DateNotEquals": {"aws:EpochTime": "2023-11-14T22:13:20Z"}}),
            false,
        ),
        (json!({"NumericEquals": {"aws:username": 5}}), false),
        (
            json!({"Null": {"aws:username": "false", "aws:absent": "true"}}),
            true,
        ),
        (json!({"Null": {"aws:username": true}}), false),
        // Without the key only a difference holds, or what does not insist.
        (json!({"StringEquals": {"aws:absent": "u"}}), false),
        (json!({"StringLike": {"aws:absent": "*"}}), false),
        (json!({"StringNotEquals": {"aws:absent": "u"}}), true),
        (json!({"StringEqualsIfExists": {"aws:absent": "u"}}), true),
        (
            json!({"StringEqualsIfExists": {"aws:username": "x"}}),
            false,
        ),
        (json!({"BoolIfExists": {"aws:absent": true}}), true),
        (
            json!({"ForAllValues:StringEquals": {"aws:absent": "u"}}),
            true,
        ),
        (
            json!({"ForAllValues:StringEquals": {"aws:username": "x"}}),
            false,
        ),
        (
            json!({"ForAnyValue:StringEquals": {"aws:username": ["x", "u"]}}),
            true,
        ),
        (
            json!({"ForAnyValue:StringNotEquals": {"aws:absent": "u"}}),
            false,
        ),
        // All lines must hold.
        (
            json!({"StringEquals": {"aws:username": "u", "aws:absent": "u"}}),
            false,
        ),
        (
            json!({"StringEquals": {"aws:username": "u"}, "Bool": {"aws:SecureTransport": false}}),
            false,
        ),
        (json!({}), true),
    ] {
        let found = decide(&statement(&json!({"Condition": condition})));
        let expected = if holds {
            Decision::Allowed
        } else {
            Decision::Unsaid
        };
        assert_eq!(found, expected, "{condition}");
    }
}

#[test]
fn what_is_no_policy_is_refused_with_its_reason() {
    let one = |more: Value| json!({"Statement": statement(&more)}).to_string();
    let unknown = "statement 1: the condition operator";
    let granted = "statement 1: the action";
    for (policy, why) in [
        ("[]".to_owned(), "it is no JSON object"),
        (
            r#"{"Statement": [], "Statement": []}"#.to_owned(),
            "it is not valid JSON: the member Statement stands twice",
        ),
        (json!({"Statement": []}).to_string(), "it has no statement"),
        (
            json!({"Statement": ["x"]}).to_string(),
            "a statement must be an object",
        ),
        (
            json!({"Version": "2013", "Statement": []}).to_string(),
            "Version must be",
        ),
        (
            json!({"Id": 5, "Statement": []}).to_string(),
            "Id must be a string",
        ),
        (
            json!({"Owner": 5}).to_string(),
            "it has the unknown element Owner",
        ),
        (
            json!({"Statement": [statement(&json!({"Sid": "a"})), statement(&json!({"Sid": "a"}))]})
                .to_string(),
            "the statement id a stands twice",
        ),
        (
            one(json!({"Efect": "Allow"})),
            "a statement has the unknown element Efect",
        ),
        (
            one(json!({"Effect": null})),
            "statement 1: Effect must be Allow or Deny",
        ),
        (
            one(json!({"Effect": "allow"})),
            "statement 1: Effect must be Allow or Deny",
        ),
        (
            one(json!({"Principal": null})),
            "statement 1: Principal is missing",
        ),
        (
            one(json!({"NotPrincipal": "*"})),
            "statement 1: Principal and NotPrincipal exclude each other",
        ),
        (
            one(json!({"Principal": "x"})),
            "statement 1: Principal must be \"*\" or an object",
        ),
        (
            one(json!({"Principal": {"Robot": "x"}})),
            "statement 1: Principal must be \"*\" or an object",
        ),
        (
            one(json!({"Principal": {"AWS": []}})),
            "statement 1: AWS must be a string or a list",
        ),
        (
            one(json!({"Principal": {"AWS": "me"}})),
            "statement 1: me is an invalid principal",
        ),
        (
            one(json!({"Principal": {"AWS": "arn:aws:iam::111111111111:user/*"}})),
            "statement 1: arn:aws:iam::111111111111:user/* is an invalid principal",
        ),
        (
            one(json!({"Principal": {"AWS": "arn:aws:iam::1:root"}})),
            "statement 1: arn:aws:iam::1:root is an invalid",
        ),
        (
            one(json!({"Action": null})),
            "statement 1: Action is missing",
        ),
        (
            one(json!({"Action": 5})),
            "statement 1: Action must be a string or a list of strings",
        ),
        (
            one(json!({"Action": "GetRecords"})),
            "statement 1: GetRecords is no action of kinesis",
        ),
        (
            one(json!({"Action": "s3:GetObject"})),
            "statement 1: s3:GetObject is no action of kinesis",
        ),
        (one(json!({"Action": "kinesis:DeleteStream"})), granted),
        (
            one(json!({"Action": ["kinesis:*", "kinesis:Split*"]})),
            granted,
        ),
        (
            one(json!({"Resource": null})),
            "statement 1: Resource is missing",
        ),
        (
            one(json!({"Resource": "s"})),
            "statement 1: s is not the ARN of a resource",
        ),
        (
            one(json!({"Resource": CONSUMER})),
            "statement 1: its resource is not the data stream",
        ),
        (
            one(json!({"Resource": null, "NotResource": OWN})),
            "statement 1: its resource is not the data",
        ),
        (
            one(json!({"Condition": []})),
            "statement 1: Condition must be an object",
        ),
        (
            one(json!({"Condition": {"StringEquals": "x"}})),
            "statement 1: StringEquals must be an object",
        ),
        (
            one(json!({"Condition": {"StringEquals": {"k": []}}})),
            "statement 1: StringEquals must hold k to",
        ),
        (
            one(json!({"Condition": {"StringEquals": {"k": null}}})),
            "statement 1: StringEquals must hold k to",
        ),
        (
            one(json!({"Condition": {"StringMatches": {"k": "x"}}})),
            unknown,
        ),
        (
            one(json!({"Condition": {"NumericLike": {"k": 5}}})),
            unknown,
        ),
        (
            one(json!({"Condition": {"NullIfExists": {"k": true}}})),
            unknown,
        ),
        (
            one(json!({"Condition": {"ForSome:StringEquals": {"k": "x"}}})),
            unknown,
        ),
        (
            one(json!({"Condition": {"Bool": {"k": "maybe"}}})),
            "statement 1: Bool takes true or false, not maybe",
        ),
        (
            one(json!({"Condition": {"IpAddress": {"k": "10.0/8"}}})),
            "statement 1: IpAddress takes an address",
        ),
        (
            one(json!({"Condition": {"NumericEquals": {"k": "x"}}})),
            "statement 1: NumericEquals takes a number",
        ),
        (
            one(json!({"Condition": {"DateEquals": {"k": "x"}}})),
            "statement 1: DateEquals takes a date, not x",
        ),
        (
            json!({"Version": "2012-10-17", "Statement": statement(&json!({"Resource": "${x}"}))}).to_string(),
            "statement 1: it has a policy variable",
        ),
        (" ".repeat(20 * 1024 + 1), "it is longer than 20480 bytes"),
        ("[".repeat(10_000), "it is not valid JSON: recursion limit"),
    ] {
        let found = Policy::parse(&policy, Kind::Stream, OWN).unwrap_err();
        assert!(found.starts_with(why), "{policy:.300}: {found}");
    }
}

#[test]
fn consumers_have_actions_of_their_own() {
    let policy = |action: &str| {
        let statement = statement(&json!({"Action": action, "Resource": CONSUMER}));
        let text = json!({"Statement": [statement]}).to_string();
        Policy::parse(&text, Kind::Consumer, CONSUMER)
    };
    assert!(policy("kinesis:SubscribeToShard").is_ok());
    assert!(policy("kinesis:DescribeStreamConsumer").is_ok());
    let refused = policy("kinesis:GetRecords").unwrap_err();
    assert!(
        refused.contains("cannot be granted on a consumer"),
        "{refused}"
    );
}
