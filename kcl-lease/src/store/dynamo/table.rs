//! Making the lease table, at the start of a worker and at no other time.

use std::time::Duration;

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TableStatus,
};
use kcl_core::error::{Error, ErrorKind};

use super::DynamoTable;
use super::codec::KEY;
use crate::store::StoreError;

/// A new table takes some seconds on AWS and none on an emulator: ask often at first.
const POLL_FIRST: Duration = Duration::from_millis(10);
const POLL_LAST: Duration = Duration::from_secs(2);
/// Some minutes in all, far above what it takes.
const POLLS_MAX: u32 = 120;

/// What there is of the table.
enum State {
    Missing,
    Pending,
    Ready,
}

/// Returns when the table can be used.
pub(super) async fn ensure(table: &DynamoTable) -> Result<(), StoreError> {
    let mut pause = POLL_FIRST;
    for _ in 0..POLLS_MAX {
        match describe(table).await? {
            State::Ready => return Ok(()),
            State::Missing => {
                // Its answer already says whether it can be used.
                if let State::Ready = create(table).await? {
                    return Ok(());
                }
            }
            State::Pending => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(POLL_LAST);
            }
        }
    }
    Err(StoreError::Unavailable(Error::new(
        ErrorKind::Unavailable,
        format!("{} does not become active", table.resource),
    )))
}

async fn describe(table: &DynamoTable) -> Result<State, StoreError> {
    let reply = table
        .client
        .describe_table()
        .table_name(&table.table)
        .send()
        .await;
    let description = match reply {
        Ok(reply) => reply.table,
        Err(failure) if failure.code() == Some("ResourceNotFoundException") => {
            return Ok(State::Missing);
        }
        Err(failure) => return Err(table.failed("DescribeTable", failure)),
    };
    let Some(description) = description else {
        return Ok(State::Pending);
    };
    let key = description.key_schema();
    let is_ours = matches!(key, [only] if only.attribute_name() == KEY
        && *only.key_type() == KeyType::Hash);
    if !key.is_empty() && !is_ours {
        return Err(StoreError::Fatal(
            Error::new(
                ErrorKind::Invalid,
                format!(
                    "{} is no lease table: its key is not {KEY} alone",
                    table.resource
                ),
            )
            .with_hint("choose another table name with `with_table_name`"),
        ));
    }
    state(table, description.table_status())
}

fn state(table: &DynamoTable, status: Option<&TableStatus>) -> Result<State, StoreError> {
    match status {
        Some(TableStatus::Active | TableStatus::Updating) => Ok(State::Ready),
        Some(
            TableStatus::Archived
            | TableStatus::Archiving
            | TableStatus::InaccessibleEncryptionCredentials,
        ) => Err(StoreError::Fatal(Error::new(
            ErrorKind::NotFound,
            format!(
                "{} cannot be used: it is archived or its key is",
                table.resource
            ),
        ))),
        _ => Ok(State::Pending),
    }
}

async fn create(table: &DynamoTable) -> Result<State, StoreError> {
    let request = table
        .client
        .create_table()
        .table_name(&table.table)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(
            AttributeDefinition::builder()
                .attribute_name(KEY)
                .attribute_type(ScalarAttributeType::S)
                .build()
                .map_err(internal)?,
        )
        .key_schema(
            KeySchemaElement::builder()
                .attribute_name(KEY)
                .key_type(KeyType::Hash)
                .build()
                .map_err(internal)?,
        );
    match request.send().await {
        Ok(reply) => {
            tracing::info!(table = table.table, "lease table created");
            let description = reply.table_description;
            state(
                table,
                description.as_ref().and_then(|table| table.table_status()),
            )
        }
        // Another worker was first.
        Err(failure) if failure.code() == Some("ResourceInUseException") => Ok(State::Pending),
        Err(failure) => Err(table.failed("CreateTable", failure)),
    }
}

fn internal(cause: aws_sdk_dynamodb::error::BuildError) -> StoreError {
    StoreError::Fatal(Error::new(ErrorKind::Internal, "a request lacks a part").with_source(cause))
}
