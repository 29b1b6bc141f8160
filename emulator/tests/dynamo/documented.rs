//! `docs/dynamodb.md` has every operation, and every test that it names exists.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::harness::Tables;

/// The operations of the service's model, as of 2012-08-10 with all additions up to the end of 2025.
const MODEL: [&str; 57] = [
    "BatchExecuteStatement",
    "BatchGetItem",
    "BatchWriteItem",
    "CreateBackup",
    "CreateGlobalTable",
    "CreateTable",
    "DeleteBackup",
    "DeleteItem",
    "DeleteResourcePolicy",
    "DeleteTable",
    "DescribeBackup",
    "DescribeContinuousBackups",
    "DescribeContributorInsights",
    "DescribeEndpoints",
    "DescribeExport",
    "DescribeGlobalTable",
    "DescribeGlobalTableSettings",
    "DescribeImport",
    "DescribeKinesisStreamingDestination",
    "DescribeLimits",
    "DescribeTable",
    "DescribeTableReplicaAutoScaling",
    "DescribeTimeToLive",
    "DisableKinesisStreamingDestination",
    "EnableKinesisStreamingDestination",
    "ExecuteStatement",
    "ExecuteTransaction",
    "ExportTableToPointInTime",
    "GetItem",
    "GetResourcePolicy",
    "ImportTable",
    "ListBackups",
    "ListContributorInsights",
    "ListExports",
    "ListGlobalTables",
    "ListImports",
    "ListTables",
    "ListTagsOfResource",
    "PutItem",
    "PutResourcePolicy",
    "Query",
    "RestoreTableFromBackup",
    "RestoreTableToPointInTime",
    "Scan",
    "TagResource",
    "TransactGetItems",
    "TransactWriteItems",
    "UntagResource",
    "UpdateContinuousBackups",
    "UpdateContributorInsights",
    "UpdateGlobalTable",
    "UpdateGlobalTableSettings",
    "UpdateItem",
    "UpdateKinesisStreamingDestination",
    "UpdateTable",
    "UpdateTableReplicaAutoScaling",
    "UpdateTimeToLive",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// The rows of the table of operations: what stands in the second column of each.
fn rows() -> BTreeMap<String, String> {
    let text = fs::read_to_string(root().join("../docs/dynamodb.md")).unwrap();
    text.lines()
        .filter_map(|line| {
            line.strip_prefix("| ")?
                .strip_suffix(" |")?
                .split_once(" | ")
        })
        .filter(|(operation, _)| *operation != "operation")
        .map(|(operation, shown)| (operation.to_owned(), shown.to_owned()))
        .collect()
}

#[test]
fn every_operation_that_is_built_is_documented_and_no_other() {
    let tables = Tables::new();
    let rows = rows();
    for operation in MODEL {
        let is_built = match tables.call(operation, &json!({})) {
            Ok(_) => true,
            Err(refusal) => refusal.name() != "UnknownOperationException",
        };
        assert_eq!(rows.contains_key(operation), is_built, "{operation}");
    }
    for operation in rows.keys() {
        assert!(MODEL.contains(&operation.as_str()), "{operation}");
    }
}

#[test]
fn every_test_that_is_named_exists() {
    let mut checked = 0;
    for (operation, shown) in rows() {
        for test in shown.split('`').skip(1).step_by(2) {
            let (file, name) = test.split_once("::").unwrap();
            let path = root().join(format!("tests/dynamo/{file}.rs"));
            let text = fs::read_to_string(&path).unwrap();
            let is_test = text.contains(&format!("#[test]\nfn {name}()"));
            assert!(is_test, "{operation}: there is no test {test}");
            checked += 1;
        }
    }
    assert!(checked >= 24, "{checked}");
}
