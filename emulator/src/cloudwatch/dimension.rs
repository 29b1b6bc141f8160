//! Dimensions and names, as all operations take them: their limits and the texts that say so.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::sync::Arc;

use serde::Deserialize;

use super::refusal::Problems;
use super::shape::Shape;
use super::store::Metric;
use super::unit::{UNITS, Unit};

/// Dimensions of one metric.
const DIMENSIONS_MAX: usize = 30;
/// Characters of a namespace, a metric's name and a dimension's name.
const NAME_MAX: usize = 255;
/// Characters of a dimension's value.
const VALUE_MAX: usize = 1024;

/// A dimension of a request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Dimension {
    pub(super) name: Option<String>,
    pub(super) value: Option<String>,
}

/// A metric of a request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct MetricShape {
    pub(super) namespace: Option<String>,
    pub(super) metric_name: Option<String>,
    pub(super) dimensions: Option<Vec<Dimension>>,
}

impl Problems {
    /// A text that is needed, of up to so many printable ASCII characters.
    fn word<'a>(&mut self, text: Option<&'a str>, path: &str, length_max: usize) -> &'a str {
        let text = text.filter(|text| !text.is_empty());
        let Some(text) = self.required(text, path) else {
            return "";
        };
        self.letters(text, path, length_max);
        text
    }

    /// Refuses texts that are too long or have other characters than the service takes.
    pub(super) fn letters(&mut self, text: &str, path: &str, length_max: usize) {
        if text.chars().count() > length_max {
            let length = length_max + 1;
            self.invalid(format!(
                "The parameter {path} must be shorter than {length} characters."
            ));
        }
        if !text.is_ascii() {
            self.invalid(format!(
                "The value {text} for parameter {path} contains non-ASCII characters."
            ));
        } else if text.bytes().any(|byte| byte.is_ascii_control()) || text.trim().is_empty() {
            self.invalid_value(&text, path);
        }
    }

    /// A parameter has a value that it cannot have.
    pub(super) fn invalid_value(&mut self, value: &dyn Display, path: &str) {
        self.invalid(format!(
            "The value {value} for parameter {path} is invalid."
        ));
    }

    pub(super) fn namespace<'a>(&mut self, namespace: Option<&'a str>, path: &str) -> &'a str {
        let namespace = self.word(namespace, path, NAME_MAX);
        if namespace.starts_with(':') {
            self.invalid_value(&namespace, path);
        }
        namespace
    }

    pub(super) fn metric_name<'a>(&mut self, name: Option<&'a str>, path: &str) -> &'a str {
        self.word(name, path, NAME_MAX)
    }

    /// A dimension's name.
    pub(super) fn dimension_name<'a>(&mut self, name: Option<&'a str>, path: &str) -> &'a str {
        let name = self.word(name, path, NAME_MAX);
        if name.starts_with(':') {
            self.invalid_value(&name, path);
        }
        name
    }

    /// Dimensions that are a metric's own, in the order of their names.
    pub(super) fn dimensions(
        &mut self,
        dimensions: Option<&[Dimension]>,
        path: &str,
    ) -> Vec<(Arc<str>, Arc<str>)> {
        let dimensions = dimensions.unwrap_or_default();
        self.size(dimensions.len(), path, DIMENSIONS_MAX);
        let mut names = BTreeSet::new();
        let mut all = Vec::with_capacity(dimensions.len().min(DIMENSIONS_MAX));
        for (place, dimension) in (1..).zip(dimensions.iter().take(DIMENSIONS_MAX)) {
            let path = format!("{path}.member.{place}");
            let name = self.dimension_name(dimension.name.as_deref(), &format!("{path}.Name"));
            let value_path = format!("{path}.Value");
            let value = self.word(dimension.value.as_deref(), &value_path, VALUE_MAX);
            if !name.is_empty() && !names.insert(name) {
                self.invalid(format!(
                    "The value {name} for parameter {path}.Name is given twice."
                ));
            }
            all.push((Arc::from(name), Arc::from(value)));
        }
        all.sort();
        all
    }

    /// Refuses lists that are too long.
    pub(super) fn size(&mut self, size: usize, path: &str, size_max: usize) {
        if size > size_max {
            self.invalid(format!(
                "The collection {path} must not have a size greater than {size_max}."
            ));
        }
    }

    pub(super) fn unit(&mut self, unit: Option<&str>, path: &str) -> Option<Unit> {
        let name = unit?;
        let unit = Unit::parse(name);
        if unit.is_none() {
            self.not_in_set(path, &UNITS);
        }
        unit
    }

    pub(super) fn not_in_set(&mut self, path: &str, set: &[&str]) {
        let set = set.join(", ");
        self.invalid(format!(
            "The parameter {path} must be a value in the set [ {set} ]."
        ));
    }

    /// The metric of a query; `path` is what stands before its members.
    pub(super) fn metric(&mut self, shape: &MetricShape, path: &str) -> Metric {
        let namespace = shape.namespace.as_deref();
        let namespace = self.namespace(namespace, &format!("{path}Namespace"));
        let name = self.metric_name(shape.metric_name.as_deref(), &format!("{path}MetricName"));
        let dimensions = shape.dimensions.as_deref();
        Metric {
            namespace: Arc::from(namespace),
            name: Arc::from(name),
            dimensions: self.dimensions(dimensions, &format!("{path}Dimensions")),
        }
    }
}

impl Metric {
    /// As a reply shows it.
    pub(super) fn shape(&self) -> Shape {
        let dimension = |(name, value): &(Arc<str>, Arc<str>)| {
            Shape::Structure(vec![
                ("Name", Shape::text(&**name)),
                ("Value", Shape::text(&**value)),
            ])
        };
        let dimensions = self.dimensions.iter().map(dimension).collect();
        Shape::Structure(vec![
            ("Namespace", Shape::text(&*self.namespace)),
            ("MetricName", Shape::text(&*self.name)),
            ("Dimensions", Shape::List(dimensions)),
        ])
    }
}
