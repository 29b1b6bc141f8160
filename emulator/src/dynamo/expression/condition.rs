//! The grammar of conditions and filters.
//!
//! One pass builds the tree with placeholders replaced and notes what the service refuses. A
//! parenthesis may hold a condition or an operand; which one shows only behind it, so the parser
//! carries either until the grammar decides, and never goes back. Conditions nest on a stack of
//! their own: 300 levels, which the service allows, would take a thread's stack far.

use super::check::Call;
use super::parse::{Grammar, Parser, Rank};
use super::placeholders::Placeholders;
use super::tree::{Comparator, Condition, Operand};
use crate::dynamo::value::AttributeValue;

/// Most operands of one IN.
const IN_MAX: usize = 100;

impl<'a> Condition<'a> {
    /// Reads a condition, filter or key condition.
    pub(super) fn parse(
        source: &'a str,
        placeholders: &'a Placeholders<'a>,
    ) -> Result<Self, String> {
        let mut parser = Parser::new(Grammar::Condition, source, placeholders);
        let condition = parser.condition()?;
        parser.finish(&[
            Rank::RedundantParentheses,
            Rank::UnknownFunction,
            Rank::MisusedFunction,
            Rank::Reserved,
            Rank::Settled,
        ])?;
        Ok(condition)
    }
}

/// What was read, and whether parentheses stand right around it.
struct Parsed<'a> {
    node: Node<'a>,
    wrapped: bool,
}

enum Node<'a> {
    Condition(Condition<'a>),
    Operand(Operand<'a>),
    /// A function: a condition where one is due, an operand where it is compared.
    Call(Call<'a>),
}

impl<'a> From<Condition<'a>> for Parsed<'a> {
    fn from(condition: Condition<'a>) -> Self {
        Self {
            node: Node::Condition(condition),
            wrapped: false,
        }
    }
}

/// What is read so far of the conditions between two parentheses.
#[derive(Default)]
struct Level<'a> {
    /// Complete members of an OR.
    ors: Vec<Condition<'a>>,
    /// Complete members of the AND being read.
    ands: Vec<Condition<'a>>,
    /// How many NOTs wait for what comes next.
    nots: usize,
}

impl<'a> Level<'a> {
    fn is_empty(&self) -> bool {
        self.ors.is_empty() && self.ands.is_empty()
    }

    /// Ends a member of the AND.
    fn and(&mut self, condition: Condition<'a>) {
        self.ands.push(condition);
    }

    /// Ends a member of the OR.
    fn or(&mut self, condition: Condition<'a>) {
        self.ands.push(condition);
        let all = std::mem::take(&mut self.ands);
        self.ors.push(joined(all, Condition::And));
    }

    fn end(mut self, condition: Condition<'a>) -> Condition<'a> {
        self.or(condition);
        joined(self.ors, Condition::Or)
    }
}

/// One condition as it is, several as `join` has them.
fn joined<'a>(
    mut all: Vec<Condition<'a>>,
    join: fn(Vec<Condition<'a>>) -> Condition<'a>,
) -> Condition<'a> {
    match (all.pop(), all.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            all.extend(last);
            join(all)
        }
    }
}

impl<'a> Parser<'a> {
    /// Takes a whole condition.
    fn condition(&mut self) -> Result<Condition<'a>, String> {
        let mut outer = Vec::new();
        let mut level = Level::default();
        loop {
            while self.cursor.eat_keyword("NOT") {
                level.nots += 1;
            }
            if self.cursor.eat("(") {
                self.enter()?;
                outer.push(std::mem::take(&mut level));
                continue;
            }
            let node = self.atom()?;
            let mut parsed = self.compared(Parsed {
                node,
                wrapped: false,
            })?;
            loop {
                parsed = self.negated(parsed, &mut level.nots)?;
                if self.cursor.at_keyword("AND") {
                    level.and(self.as_condition(parsed)?);
                } else if self.cursor.at_keyword("OR") {
                    level.or(self.as_condition(parsed)?);
                } else if let Some(around) = self.close(&mut outer)? {
                    let inner = std::mem::replace(&mut level, around);
                    parsed = self.unwrapped(inner, parsed)?;
                    parsed = self.compared(parsed)?;
                    continue;
                } else {
                    let last = self.as_condition(parsed)?;
                    return Ok(level.end(last));
                }
                self.cursor.take();
                break;
            }
        }
    }

    /// Leaves the innermost parentheses, if any are open; they must end here.
    fn close(&mut self, outer: &mut Vec<Level<'a>>) -> Result<Option<Level<'a>>, String> {
        let around = outer.pop();
        if around.is_some() {
            self.cursor.expect(")")?;
            self.leave();
        }
        Ok(around)
    }

    /// What the parentheses that just ended stand for.
    fn unwrapped(&mut self, inner: Level<'a>, last: Parsed<'a>) -> Result<Parsed<'a>, String> {
        if !inner.is_empty() {
            let last = self.as_condition(last)?;
            let node = Node::Condition(inner.end(last));
            return Ok(Parsed {
                node,
                wrapped: true,
            });
        }
        self.wrapped(last)
    }

    /// Parentheses around something that has none inside, or has them one too many.
    fn wrapped(&mut self, inner: Parsed<'a>) -> Result<Parsed<'a>, String> {
        if inner.wrapped {
            self.faults.note(Rank::RedundantParentheses, || {
                "The expression has redundant parentheses;".to_owned()
            });
        }
        match inner.node {
            // `(a.b).c` and `(a)[0]` are paths.
            Node::Operand(Operand::Path(path)) if self.cursor.at(".") || self.cursor.at("[") => {
                let path = self.extend(path)?;
                Ok(Parsed {
                    node: Node::Operand(Operand::Path(path)),
                    wrapped: false,
                })
            }
            node @ (Node::Condition(_) | Node::Operand(_) | Node::Call(_)) => Ok(Parsed {
                node,
                wrapped: true,
            }),
        }
    }

    fn negated(&mut self, parsed: Parsed<'a>, nots: &mut usize) -> Result<Parsed<'a>, String> {
        let count = std::mem::take(nots);
        if count == 0 {
            return Ok(parsed);
        }
        let condition = self.as_condition(parsed)?;
        Ok(if count.is_multiple_of(2) {
            condition.into()
        } else {
            Condition::Not(Box::new(condition)).into()
        })
    }

    /// Takes the comparison that may follow an operand.
    fn compared(&mut self, parsed: Parsed<'a>) -> Result<Parsed<'a>, String> {
        if matches!(parsed.node, Node::Condition(_)) || !self.at_comparison() {
            return Ok(parsed);
        }
        let tested = self.as_operand(parsed.node)?;
        let condition = self.comparison(tested)?;
        self.settle();
        Ok(condition.into())
    }

    /// A path, a value or a function.
    fn atom(&mut self) -> Result<Node<'a>, String> {
        if !self.at_name() {
            return Ok(Node::Operand(Operand::Value(self.value()?)));
        }
        if self.cursor.current().text.starts_with('#') {
            return Ok(Node::Operand(Operand::Path(self.path()?)));
        }
        let word = self.cursor.take().text;
        if !self.cursor.at("(") {
            return Ok(Node::Operand(Operand::Path(self.path_from_word(word)?)));
        }
        self.count_operator()?;
        let arguments = self.operands()?;
        let call = Call {
            name: word,
            arguments,
        };
        self.check_call(&call);
        Ok(Node::Call(call))
    }

    /// `( operand, … )`.
    fn operands(&mut self) -> Result<Vec<Operand<'a>>, String> {
        self.enter_operand()?;
        self.cursor.expect("(")?;
        let mut all = vec![self.operand()?];
        while self.cursor.eat(",") {
            all.push(self.operand()?);
        }
        self.cursor.expect(")")?;
        self.leave_operand();
        Ok(all)
    }

    fn operand(&mut self) -> Result<Operand<'a>, String> {
        let parsed = self.bare_or_wrapped()?;
        self.as_operand(parsed.node)
    }

    fn bare_or_wrapped(&mut self) -> Result<Parsed<'a>, String> {
        if !self.cursor.eat("(") {
            return Ok(Parsed {
                node: self.atom()?,
                wrapped: false,
            });
        }
        self.enter_operand()?;
        let inner = self.bare_or_wrapped()?;
        self.cursor.expect(")")?;
        self.leave_operand();
        self.wrapped(inner)
    }

    fn at_comparison(&self) -> bool {
        let token = self.cursor.current();
        Comparator::from_symbol(token.text).is_some()
            || self.cursor.at_keyword("BETWEEN")
            || self.cursor.at_keyword("IN")
    }

    fn comparison(&mut self, tested: Operand<'a>) -> Result<Condition<'a>, String> {
        self.count_operator()?;
        if self.cursor.eat_keyword("BETWEEN") {
            let low = self.operand()?;
            if !self.cursor.eat_keyword("AND") {
                return Err(self.cursor.syntax_error());
            }
            let high = self.operand()?;
            self.check_ordered("BETWEEN", &[&tested, &low, &high]);
            self.check_bounds(&low, &high);
            return Ok(Condition::Between { tested, low, high });
        }
        if self.cursor.eat_keyword("IN") {
            let members = self.operands()?;
            if members.len() > IN_MAX {
                let count = members.len();
                self.faults.note(Rank::Operands, || {
                    format!(
                        "The IN operator is provided with too many operands; \
                         number of operands: {count}"
                    )
                });
            }
            return Ok(Condition::In { tested, members });
        }
        let symbol = self.cursor.take().text;
        let Some(comparator) = Comparator::from_symbol(symbol) else {
            return Err(self.cursor.syntax_error());
        };
        let other = self.operand()?;
        self.check_distinct(comparator.symbol(), &tested, &other);
        if !matches!(comparator, Comparator::Equal | Comparator::NotEqual) {
            self.check_ordered(comparator.symbol(), &[&tested, &other]);
        }
        Ok(Condition::Compare(comparator, tested, other))
    }

    /// Takes what was read for a condition; an operand alone is none.
    fn as_condition(&mut self, parsed: Parsed<'a>) -> Result<Condition<'a>, String> {
        match parsed.node {
            Node::Condition(condition) => Ok(condition),
            Node::Operand(_) => Err(self.cursor.syntax_error()),
            Node::Call(call) => {
                if call.name == "size" {
                    self.note_misused(call.name);
                }
                self.settle();
                Ok(call.into_condition())
            }
        }
    }

    /// Takes what was read for an operand: of the functions, only `size` is one.
    fn as_operand(&mut self, node: Node<'a>) -> Result<Operand<'a>, String> {
        match node {
            Node::Operand(operand) => Ok(operand),
            Node::Condition(_) => Err(self.cursor.syntax_error()),
            Node::Call(call) => {
                if call.name != "size" {
                    self.note_misused(call.name);
                }
                let argument = call.arguments.into_iter().next();
                let argument = argument.unwrap_or(Operand::Value(&AttributeValue::Null));
                Ok(Operand::Size(Box::new(argument)))
            }
        }
    }

    fn note_misused(&mut self, name: &str) {
        self.faults.note(Rank::MisusedFunction, || {
            format!(
                "The function is not allowed to be used this way in an expression; \
                 function: {name}"
            )
        });
    }
}
