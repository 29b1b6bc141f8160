//! Whether a caller may do to a resource what the call asks for.
//!
//! The owner's account may do everything to its own: the emulator has no identity policies, so that
//! nothing could forbid it. Another account may do what the resource's policy allows, if it is of those
//! few actions that can be granted at all.

use std::borrow::Cow;

use crate::engine::policy::{Access, Decision, Kind as ResourceKind, Policy};
use crate::engine::tags::Tags;
use crate::refusal::{Kind, Refusal};

use super::Call;

/// A resource and what its owner says of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owned<'a> {
    pub(super) kind: ResourceKind,
    /// The owner.
    pub(super) account: &'a str,
    pub(super) arn: &'a str,
    /// None also where there is no such resource: of others' accounts nobody learns what they have.
    pub(super) policy: Option<&'a Policy>,
    pub(super) tags: Option<&'a Tags>,
}

impl Call<'_> {
    /// Refuses what the owner of a resource has not granted.
    pub(super) fn authorize(&self, owned: &Owned<'_>) -> Result<(), Refusal> {
        if *owned.account == *self.realm.scope.account {
            return Ok(());
        }
        let action = format!("kinesis:{:?}", self.operation);
        let principal = self.principal();
        let decision = match owned.policy {
            Some(policy) if owned.kind.actions().contains(&action.as_str()) => {
                policy.decide(&Access {
                    action: &action,
                    resource: owned.arn,
                    account: &self.realm.scope.account,
                    principal: &principal,
                    context: &|key| self.known(owned, &principal, key),
                })
            }
            _ => Decision::Unsaid,
        };
        let because = match decision {
            Decision::Allowed => return Ok(()),
            Decision::Denied => "with an explicit deny in a resource-based policy".to_owned(),
            Decision::Unsaid => {
                format!("because no resource-based policy allows the {action} action")
            }
        };
        let arn = owned.arn;
        Err(Refusal::new(
            Kind::AccessDenied,
            format!(
                "User: {principal} is not authorized to perform: {action} on resource: {arn} {because}"
            ),
        ))
    }

    /// The caller's ARN: a user with the name of his access key, or the account itself for a request
    /// that names none.
    fn principal(&self) -> String {
        let (partition, account) = (self.realm.scope.partition(), &self.realm.scope.account);
        match self.caller.access_key {
            Some(key) => format!("arn:{partition}:iam::{account}:user/{key}"),
            None => format!("arn:{partition}:iam::{account}:root"),
        }
    }

    /// The value of a condition key, if the call has one.
    fn known<'a>(&'a self, owned: &Owned<'a>, principal: &str, key: &str) -> Option<Cow<'a, str>> {
        let user = self.caller.access_key;
        let scope = &self.realm.scope;
        let borrowed = match key {
            "aws:principalaccount" => &scope.account,
            "aws:principaltype" if user.is_some() => "User",
            "aws:principaltype" => "Account",
            "aws:username" => user?,
            "aws:requestedregion" => &scope.region,
            "aws:resourceaccount" => owned.account,
            "aws:viaawsservice" | "aws:principalisawsservice" => "false",
            "aws:securetransport" if self.peer.is_some_and(|peer| peer.is_tls) => "true",
            "aws:securetransport" => "false",
            "aws:sourceip" => return Some(self.peer?.address.to_string().into()),
            "aws:principalarn" => return Some(principal.to_owned().into()),
            "aws:currenttime" | "aws:epochtime" => {
                return Some(self.now.seconds().to_string().into());
            }
            _ => owned
                .tags?
                .get_any_case(key.strip_prefix("aws:resourcetag/")?)?,
        };
        Some(borrowed.into())
    }
}
