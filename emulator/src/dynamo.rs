//! Placeholder of the tables; their author replaces this file.

use std::time::SystemTime;

use crate::Scope;

/// The tables.
#[derive(Debug, Default)]
pub struct Dynamo {}

/// Why a call was refused.
#[derive(Debug)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// `prefix#Name`.
    pub kind: String,
    /// The body, ready to send.
    pub body: Vec<u8>,
}

impl Dynamo {
    /// No tables.
    pub fn new() -> Self {
        Self {}
    }

    /// Answers one call.
    pub fn call(
        &self,
        _scope: &Scope,
        _now: SystemTime,
        operation: &str,
        _body: &[u8],
    ) -> Result<Vec<u8>, Refusal> {
        let kind = "com.amazon.coral.service#UnknownOperationException".to_owned();
        let body = format!("{{\"__type\":\"{kind}\",\"message\":\"{operation}\"}}").into_bytes();
        Err(Refusal { status: 400, kind, body })
    }
}
