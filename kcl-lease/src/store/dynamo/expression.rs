//! The names and values that a DynamoDB expression refers to.
//!
//! Every attribute goes by a placeholder, so no reserved word can ever get in the way, and only
//! what is used is sent, because the service refuses the rest.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::codec::Item;

/// Attribute names by their placeholders.
pub(crate) type Names = HashMap<String, String>;

/// The placeholders of one request.
#[derive(Debug, Default)]
pub(crate) struct Words {
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Words {
    /// The placeholder of an attribute.
    pub(crate) fn name(&mut self, attribute: &str) -> String {
        let placeholder = format!("#{attribute}");
        self.names.insert(placeholder.clone(), attribute.to_owned());
        placeholder
    }

    /// The placeholder of a value.
    fn value(&mut self, value: AttributeValue) -> String {
        let placeholder = format!(":v{}", self.values.len());
        self.values.insert(placeholder.clone(), value);
        placeholder
    }

    /// `attribute = value`: a comparison in a condition, an assignment in `SET`.
    pub(crate) fn equals(&mut self, attribute: &str, value: AttributeValue) -> String {
        format!("{} = {}", self.name(attribute), self.value(value))
    }

    /// `attribute <> value`, which is also true where there is no such attribute.
    pub(crate) fn differs(&mut self, attribute: &str, value: AttributeValue) -> String {
        format!("{} <> {}", self.name(attribute), self.value(value))
    }

    /// `attribute = value`, or that there is none.
    pub(crate) fn equals_or_missing(
        &mut self,
        attribute: &str,
        value: Option<AttributeValue>,
    ) -> String {
        match value {
            Some(value) => self.equals(attribute, value),
            None => format!("attribute_not_exists({})", self.name(attribute)),
        }
    }

    /// `attribute value`, as `ADD` has it.
    pub(crate) fn pair(&mut self, attribute: &str, value: AttributeValue) -> String {
        format!("{} {}", self.name(attribute), self.value(value))
    }

    /// What goes into the request; empty maps are left out, because the service refuses them.
    pub(crate) fn into_parts(self) -> (Option<Names>, Option<Item>) {
        (
            (!self.names.is_empty()).then_some(self.names),
            (!self.values.is_empty()).then_some(self.values),
        )
    }
}
