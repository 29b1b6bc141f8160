//! DescribeLimits and DescribeEndpoints: what holds for an account and a region.

use serde::Serialize;

use super::{Caller, reply};
use crate::dynamo::refusal::Refusal;

/// Units of each kind that one account, and one table of it, may have provisioned by default.
const ACCOUNT_UNITS: i64 = 80_000;
const TABLE_UNITS: i64 = 40_000;

pub(crate) fn describe_limits(_: Caller<'_>, _: &[u8]) -> Result<Vec<u8>, Refusal> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Reply {
        account_max_read_capacity_units: i64,
        account_max_write_capacity_units: i64,
        table_max_read_capacity_units: i64,
        table_max_write_capacity_units: i64,
    }
    Ok(reply(&Reply {
        account_max_read_capacity_units: ACCOUNT_UNITS,
        account_max_write_capacity_units: ACCOUNT_UNITS,
        table_max_read_capacity_units: TABLE_UNITS,
        table_max_write_capacity_units: TABLE_UNITS,
    }))
}

/// The address that the caller used is the one to go on with, so that the answer is only shown where
/// endpoints are discovered, which an endpoint that was set turns off.
pub(crate) fn describe_endpoints(caller: Caller<'_>, _: &[u8]) -> Result<Vec<u8>, Refusal> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Endpoint {
        address: String,
        cache_period_in_minutes: i64,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Reply {
        endpoints: [Endpoint; 1],
    }
    Ok(reply(&Reply {
        endpoints: [Endpoint {
            address: format!("dynamodb.{}.amazonaws.com", caller.scope.region),
            cache_period_in_minutes: 1440,
        }],
    }))
}
