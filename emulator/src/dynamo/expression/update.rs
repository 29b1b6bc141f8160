//! Update expressions: the list of changes and its grammar.

use super::lex::Kind;
use super::parse::{Grammar, Parser, Rank};
use super::path::Path;
use super::placeholders::Placeholders;
use crate::dynamo::value::AttributeValue;

/// What an update does, in the order in which it says so.
#[derive(Debug)]
pub(crate) struct Update<'a> {
    /// The places it changes.
    pub(crate) paths: Vec<Path<'a>>,
    /// What becomes of each.
    pub(super) changes: Vec<Change<'a>>,
    /// Whether it was said without an expression: some refusals then have other words, and lists grow.
    pub(super) is_legacy: bool,
}

/// What becomes of one attribute, where that is said without an expression.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AttributeChange<'a> {
    Put(&'a AttributeValue),
    Remove,
    Add(&'a AttributeValue),
    Delete(&'a AttributeValue),
}

#[derive(Debug)]
pub(super) enum Change<'a> {
    Set(Expression<'a>),
    Remove,
    Add(&'a AttributeValue),
    Delete(&'a AttributeValue),
}

/// The right side of a SET.
#[derive(Debug)]
pub(super) enum Expression<'a> {
    Path(Path<'a>),
    Value(&'a AttributeValue),
    IfNotExists(Path<'a>, Box<Self>),
    ListAppend(Box<Self>, Box<Self>),
    Add(Box<Self>, Box<Self>),
    Subtract(Box<Self>, Box<Self>),
}

impl<'a> Update<'a> {
    /// An update of whole attributes.
    pub(crate) fn of_attributes(
        changes: impl Iterator<Item = (&'a str, AttributeChange<'a>)>,
    ) -> Self {
        let (paths, changes) = changes
            .map(|(head, change)| {
                let path = Path {
                    head,
                    rest: Vec::new(),
                };
                let change = match change {
                    AttributeChange::Put(value) => Change::Set(Expression::Value(value)),
                    AttributeChange::Remove => Change::Remove,
                    AttributeChange::Add(value) => Change::Add(value),
                    AttributeChange::Delete(value) => Change::Delete(value),
                };
                (path, change)
            })
            .unzip();
        Self {
            paths,
            changes,
            is_legacy: true,
        }
    }

    /// Whether it has a row be made where there is none. Without an expression, deleting attributes
    /// of nothing has no effect; every update expression makes a row.
    pub(crate) fn makes_row(&self) -> bool {
        !self.is_legacy
            || self.changes.is_empty()
            || self
                .changes
                .iter()
                .any(|change| matches!(change, Change::Set(_) | Change::Add(_)))
    }

    /// Reads an update.
    pub(super) fn parse(
        source: &'a str,
        placeholders: &'a Placeholders<'a>,
    ) -> Result<Self, String> {
        let mut parser = Parser::new(Grammar::Update, source, placeholders);
        let mut update = Self {
            paths: Vec::new(),
            changes: Vec::new(),
            is_legacy: false,
        };
        let mut seen: Vec<&'static str> = Vec::new();
        loop {
            parser.section(&mut seen, &mut update)?;
            if parser.cursor.current().kind == Kind::End {
                break;
            }
        }
        parser.finish(&[
            Rank::Reserved,
            Rank::UnknownFunction,
            Rank::RepeatedSection,
            Rank::UndefinedName,
            Rank::UndefinedValue,
            Rank::Overlap,
            Rank::Conflict,
            Rank::Types,
            Rank::Operands,
        ])?;
        Ok(update)
    }
}

impl<'a> Parser<'a> {
    fn section(
        &mut self,
        seen: &mut Vec<&'static str>,
        update: &mut Update<'a>,
    ) -> Result<(), String> {
        let word = self.cursor.current();
        let found = ["SET", "REMOVE", "ADD", "DELETE"]
            .into_iter()
            .find(|section| self.cursor.eat_keyword(section));
        let Some(section) = found.filter(|_| word.kind == Kind::Word) else {
            return Err(self.cursor.syntax_error());
        };
        loop {
            let path = self.path()?;
            let change = self.change(section)?;
            self.note_clash(&update.paths, &path);
            update.paths.push(path);
            update.changes.push(change);
            if !self.cursor.eat(",") {
                break;
            }
        }
        if seen.contains(&section) {
            self.faults.note(Rank::RepeatedSection, || {
                format!("The \"{section}\" section can only be used once in an update expression;")
            });
        }
        seen.push(section);
        Ok(())
    }

    fn change(&mut self, section: &'static str) -> Result<Change<'a>, String> {
        Ok(match section {
            "SET" => {
                self.cursor.expect("=")?;
                Change::Set(self.right_side()?)
            }
            "REMOVE" => Change::Remove,
            "ADD" => {
                let value = self.value()?;
                self.check_element(section, value);
                Change::Add(value)
            }
            _ => {
                let value = self.value()?;
                self.check_element(section, value);
                Change::Delete(value)
            }
        })
    }

    /// ADD takes numbers and sets, DELETE sets.
    fn check_element(&mut self, section: &str, value: &AttributeValue) {
        let kind = match value {
            AttributeValue::Ss(_) | AttributeValue::Ns(_) | AttributeValue::Bs(_) => return,
            AttributeValue::N(_) if section == "ADD" => return,
            AttributeValue::N(_) => "NUMBER",
            AttributeValue::S(_) => "STRING",
            AttributeValue::B(_) => "BINARY",
            AttributeValue::Bool(_) => "BOOLEAN",
            AttributeValue::Null => "NULL",
            AttributeValue::L(_) => "LIST",
            AttributeValue::M(_) => "MAP",
        };
        self.faults.note(Rank::Types, || {
            format!(
                "Incorrect operand type for operator or function; operator: {section}, \
                 operand type: {kind}"
            )
        });
    }

    /// A sum, with or without parentheses around all of it.
    fn right_side(&mut self) -> Result<Expression<'a>, String> {
        if !self.cursor.eat("(") {
            let first = self.term()?;
            return self.sum(first);
        }
        let first = self.term()?;
        let inner = self.sum(first)?;
        self.cursor.expect(")")?;
        // Nothing may follow a sum; a single operand can still be the first of one.
        if matches!(inner, Expression::Add(..) | Expression::Subtract(..)) {
            return Ok(inner);
        }
        self.sum(inner)
    }

    fn sum(&mut self, first: Expression<'a>) -> Result<Expression<'a>, String> {
        let symbol = self.cursor.current().text;
        if !matches!(symbol, "+" | "-") {
            return Ok(first);
        }
        self.cursor.take();
        self.count_operator()?;
        let second = self.term()?;
        for operand in [&first, &second] {
            self.check_literal(symbol, operand, "N");
        }
        let (first, second) = (Box::new(first), Box::new(second));
        Ok(match symbol {
            "+" => Expression::Add(first, second),
            _ => Expression::Subtract(first, second),
        })
    }

    /// An operand, with or without parentheses.
    fn term(&mut self) -> Result<Expression<'a>, String> {
        if !self.cursor.eat("(") {
            return self.factor();
        }
        let inner = self.factor()?;
        self.cursor.expect(")")?;
        Ok(inner)
    }

    fn factor(&mut self) -> Result<Expression<'a>, String> {
        if !self.at_name() {
            return Ok(Expression::Value(self.value()?));
        }
        if self.cursor.current().kind == Kind::NamePlaceholder {
            return Ok(Expression::Path(self.path()?));
        }
        let word = self.cursor.take().text;
        if !self.cursor.at("(") {
            return Ok(Expression::Path(self.path_from_word(word)?));
        }
        self.count_operator()?;
        self.enter()?;
        self.cursor.expect("(")?;
        let mut arguments = vec![self.term()?];
        while self.cursor.eat(",") {
            arguments.push(self.term()?);
        }
        self.cursor.expect(")")?;
        self.leave();
        Ok(self.function(word, arguments))
    }

    fn function(&mut self, name: &'a str, arguments: Vec<Expression<'a>>) -> Expression<'a> {
        let count = arguments.len();
        let of_no_meaning = Expression::Value(&AttributeValue::Null);
        if !matches!(name, "if_not_exists" | "list_append") {
            self.faults.note(Rank::UnknownFunction, || {
                format!("Invalid function name; function: {name}")
            });
            return of_no_meaning;
        }
        let Ok([first, second]) = <[Expression<'a>; 2]>::try_from(arguments) else {
            self.faults.note(Rank::Operands, || {
                format!(
                    "Incorrect number of operands for operator or function; \
                     operator or function: {name}, number of operands: {count}"
                )
            });
            return of_no_meaning;
        };
        match (name, first) {
            ("if_not_exists", Expression::Path(path)) => {
                Expression::IfNotExists(path, Box::new(second))
            }
            ("if_not_exists", _) => {
                self.faults.note(Rank::Operands, || {
                    format!(
                        "Operator or function requires a document path; \
                         operator or function: {name}"
                    )
                });
                of_no_meaning
            }
            (_, first) => {
                for operand in [&first, &second] {
                    self.check_literal(name, operand, "L");
                }
                Expression::ListAppend(Box::new(first), Box::new(second))
            }
        }
    }

    fn check_literal(&mut self, name: &str, operand: &Expression<'a>, due: &str) {
        let Expression::Value(value) = operand else {
            return;
        };
        let kind = value.type_name();
        if kind != due {
            self.faults.note(Rank::Operands, || {
                format!(
                    "Incorrect operand type for operator or function; \
                     operator or function: {name}, operand type: {kind}"
                )
            });
        }
    }
}
