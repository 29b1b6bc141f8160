//! The calls of a lease store through the real SDK, over the socket.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::client::Waiters;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ReturnValue,
    ReturnValuesOnConditionCheckFailure, ScalarAttributeType, TableStatus,
};
use kinesis_emulator::Emulator;

type Row = HashMap<String, AttributeValue>;

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn n(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn client(emulator: &Emulator) -> Client {
    let config = aws_sdk_dynamodb::config::Builder::from(&emulator.sdk_config())
        .retry_config(RetryConfig::disabled())
        .build();
    Client::from_conf(config)
}

async fn create_table(client: &Client) {
    client
        .create_table()
        .table_name("leases")
        .attribute_definitions(
            AttributeDefinition::builder()
                .attribute_name("leaseKey")
                .attribute_type(ScalarAttributeType::S)
                .build()
                .unwrap(),
        )
        .key_schema(
            KeySchemaElement::builder()
                .attribute_name("leaseKey")
                .key_type(KeyType::Hash)
                .build()
                .unwrap(),
        )
        .billing_mode(BillingMode::PayPerRequest)
        .send()
        .await
        .unwrap();
    client
        .wait_until_table_exists()
        .table_name("leases")
        .wait(Duration::from_secs(30))
        .await
        .unwrap();
}

async fn create_lease(client: &Client, key: &str) -> bool {
    let put = client
        .put_item()
        .table_name("leases")
        .item("leaseKey", s(key))
        .item("leaseCounter", n(1))
        .item("checkpoint", s("TRIM_HORIZON"))
        .item(
            "parents",
            AttributeValue::Ss(vec!["b".to_owned(), "a".to_owned()]),
        )
        .condition_expression("attribute_not_exists(leaseKey)");
    match put.send().await {
        Ok(_) => true,
        Err(error) => {
            let error = error.into_service_error();
            assert!(error.is_conditional_check_failed_exception(), "{error}");
            false
        }
    }
}

/// Takes the lease at `counter` for `owner`; the row as it is, if it was at another.
async fn take(client: &Client, owner: &str, counter: u64) -> Result<Row, Option<Row>> {
    let update = client
        .update_item()
        .table_name("leases")
        .key("leaseKey", s("shard-0"))
        .update_expression("SET leaseOwner = :owner, leaseCounter = leaseCounter + :one, #c = :c")
        .condition_expression("attribute_exists(leaseKey) AND leaseCounter = :seen")
        .expression_attribute_names("#c", "checkpoint")
        .expression_attribute_values(":owner", s(owner))
        .expression_attribute_values(":one", n(1))
        .expression_attribute_values(":c", s("49"))
        .expression_attribute_values(":seen", n(counter))
        .return_values(ReturnValue::AllNew)
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    match update.send().await {
        Ok(reply) => Ok(reply.attributes.unwrap()),
        Err(error) => {
            let error = error.into_service_error();
            let UpdateItemError::ConditionalCheckFailedException(failed) = error else {
                panic!("{error}");
            };
            Err(failed.item)
        }
    }
}

#[tokio::test]
async fn a_table_is_created_described_and_deleted() {
    let emulator = Emulator::start().await.unwrap();
    let client = client(&emulator);
    create_table(&client).await;
    let table = client
        .describe_table()
        .table_name("leases")
        .send()
        .await
        .unwrap()
        .table
        .unwrap();
    assert_eq!(table.table_status(), Some(&TableStatus::Active));
    let billing = table
        .billing_mode_summary()
        .and_then(|summary| summary.billing_mode());
    assert_eq!(billing, Some(&BillingMode::PayPerRequest));
    assert!(
        table
            .creation_date_time()
            .is_some_and(|time| time.secs() > 0)
    );
    let names = client.list_tables().send().await.unwrap();
    assert_eq!(names.table_names(), ["leases"]);
    client
        .delete_table()
        .table_name("leases")
        .send()
        .await
        .unwrap();
    let error = client
        .describe_table()
        .table_name("leases")
        .send()
        .await
        .unwrap_err();
    assert!(error.into_service_error().is_resource_not_found_exception());
}

#[tokio::test]
async fn a_lease_lives_by_its_counter() {
    let emulator = Emulator::start().await.unwrap();
    let client = client(&emulator);
    create_table(&client).await;
    assert!(create_lease(&client, "shard-0").await);
    assert!(!create_lease(&client, "shard-0").await);

    let row = take(&client, "a", 1).await.unwrap();
    assert_eq!((&row["leaseOwner"], &row["leaseCounter"]), (&s("a"), &n(2)));
    let lost = take(&client, "b", 1).await.unwrap_err().unwrap();
    assert_eq!(lost, row);

    let get = client
        .get_item()
        .table_name("leases")
        .key("leaseKey", s("shard-0"));
    let read = get.consistent_read(true).send().await.unwrap();
    assert_eq!(read.item, Some(row));

    let delete = |counter: u64| {
        client
            .delete_item()
            .table_name("leases")
            .key("leaseKey", s("shard-0"))
            .condition_expression("attribute_not_exists(leaseKey) OR leaseCounter = :n")
            .expression_attribute_values(":n", n(counter))
            .send()
    };
    let error = delete(1).await.unwrap_err().into_service_error();
    assert!(error.is_conditional_check_failed_exception());
    delete(2).await.unwrap();
    delete(2).await.unwrap();
    assert_eq!(take(&client, "a", 2).await, Err(None));
}

#[tokio::test]
async fn a_scan_pages_through_every_lease() {
    let emulator = Emulator::start().await.unwrap();
    let client = client(&emulator);
    create_table(&client).await;
    let mut expected = BTreeSet::new();
    for index in 0..25 {
        let key = format!("shard-{index}");
        assert!(create_lease(&client, &key).await);
        expected.insert(key);
    }
    let pages = client
        .scan()
        .table_name("leases")
        .limit(4)
        .consistent_read(true);
    let rows: Vec<Row> = pages
        .into_paginator()
        .items()
        .send()
        .collect::<Result<_, _>>()
        .await
        .unwrap();
    let found: BTreeSet<String> = rows
        .iter()
        .map(|row| row["leaseKey"].as_s().unwrap().clone())
        .collect();
    assert_eq!((rows.len(), found), (25, expected));
}

#[tokio::test]
async fn a_missing_table_is_told_apart_from_a_missing_lease() {
    let emulator = Emulator::start().await.unwrap();
    let client = client(&emulator);
    let get = |table: &str| {
        client
            .get_item()
            .table_name(table)
            .key("leaseKey", s("x"))
            .send()
    };
    let error = get("leases").await.unwrap_err().into_service_error();
    assert!(error.is_resource_not_found_exception());
    create_table(&client).await;
    assert_eq!(get("leases").await.unwrap().item, None);
}
