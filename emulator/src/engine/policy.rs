//! Resource policies: what a resource's owner lets other accounts do there. Pure.
//!
//! A policy is read and checked once, when it is put ([`Policy::parse`]), and asked for every call from
//! another account ([`Policy::decide`]): a statement that denies wins, one that allows opens, and
//! nothing is allowed unsaid. Only some actions can be granted at all ([`Kind::actions`]). Principals
//! of other kinds than `AWS` are part of the grammar and match no caller of ours, as no service calls
//! in the name of another here.

mod condition;
mod document;
mod pattern;
mod statement;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use self::statement::Statement;

/// Bytes of a policy at most.
const SIZE_MAX: usize = 20 * 1024;

/// What a policy is put on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Stream,
    Consumer,
}

/// A policy that has passed all checks.
#[derive(Debug)]
pub(crate) struct Policy {
    /// As it was put, to be handed out again.
    pub(crate) text: String,
    statements: Vec<Statement>,
}

/// A call as a policy sees it.
#[derive(Clone, Copy)]
pub(crate) struct Access<'a> {
    /// Such as `kinesis:GetRecords`.
    pub(crate) action: &'a str,
    pub(crate) resource: &'a str,
    /// The caller's account.
    pub(crate) account: &'a str,
    /// The caller's ARN.
    pub(crate) principal: &'a str,
    /// What else is known of the call, by condition key in lower case.
    pub(crate) context: &'a dyn Fn(&str) -> Option<Cow<'a, str>>,
}

/// What a policy says to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// A statement allows it, none denies it.
    Allowed,
    /// A statement denies it.
    Denied,
    /// No statement speaks of it.
    Unsaid,
}

impl Kind {
    /// What can be granted on such a resource.
    pub(crate) fn actions(self) -> &'static [&'static str] {
        match self {
            Self::Stream => &[
                "kinesis:DescribeStream",
                "kinesis:DescribeStreamSummary",
                "kinesis:GetRecords",
                "kinesis:GetShardIterator",
                "kinesis:ListShards",
                "kinesis:PutRecord",
                "kinesis:PutRecords",
            ],
            Self::Consumer => &["kinesis:DescribeStreamConsumer", "kinesis:SubscribeToShard"],
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Stream => "data stream",
            Self::Consumer => "consumer",
        }
    }
}

impl Policy {
    /// Reads a policy that is put on `resource`. The error says what is wrong with it.
    pub(crate) fn parse(text: &str, kind: Kind, resource: &str) -> Result<Self, String> {
        if text.len() > SIZE_MAX {
            return Err(format!("it is longer than {SIZE_MAX} bytes"));
        }
        let document = document::read(text)?;
        let statements = statement::all(&document, kind, resource)?;
        Ok(Self {
            text: text.to_owned(),
            statements,
        })
    }

    /// What the policy says to a call.
    pub(crate) fn decide(&self, access: &Access<'_>) -> Decision {
        let mut decision = Decision::Unsaid;
        for statement in &self.statements {
            if !statement.applies(access) {
                continue;
            }
            if statement.denies() {
                return Decision::Denied;
            }
            decision = Decision::Allowed;
        }
        decision
    }
}

impl std::fmt::Debug for Access<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access")
            .field("action", &self.action)
            .field("resource", &self.resource)
            .field("principal", &self.principal)
            .finish_non_exhaustive()
    }
}
