//! Conditions and filters: the tree and its grammar.
//!
//! One pass builds the tree with placeholders replaced and notes what the service refuses. A
//! parenthesis may hold a condition or an operand; which one shows only behind it, so the parser
//! carries either until the grammar decides, and never goes back.

use super::check::Call;
use super::parse::{Grammar, Parser, Rank};
use super::path::Path;
use super::placeholders::Placeholders;
use crate::dynamo::value::AttributeValue;

/// Most operands of one IN.
const IN_MAX: usize = 100;

/// A condition on an item.
#[derive(Debug)]
pub(crate) enum Condition<'a> {
    Or(Vec<Self>),
    And(Vec<Self>),
    Not(Box<Self>),
    Compare(Comparator, Operand<'a>, Operand<'a>),
    Between {
        tested: Operand<'a>,
        low: Operand<'a>,
        high: Operand<'a>,
    },
    In {
        tested: Operand<'a>,
        members: Vec<Operand<'a>>,
    },
    Exists(Path<'a>),
    NotExists(Path<'a>),
    HasType(Operand<'a>, &'a str),
    BeginsWith(Operand<'a>, Operand<'a>),
    Contains(Operand<'a>, Operand<'a>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparator {
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    fn from_symbol(symbol: &str) -> Option<Self> {
        Some(match symbol {
            "=" => Self::Equal,
            "<>" => Self::NotEqual,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            _ => return None,
        })
    }
}

/// What a condition compares.
#[derive(Debug)]
pub(crate) enum Operand<'a> {
    Path(Path<'a>),
    Value(&'a AttributeValue),
    Size(Box<Self>),
}

impl<'a> Condition<'a> {
    /// Reads a condition, filter or key condition.
    pub(super) fn parse(
        source: &'a str,
        placeholders: &'a Placeholders<'a>,
    ) -> Result<Self, String> {
        let mut parser = Parser::new(Grammar::Condition, source, placeholders);
        let parsed = parser.disjunction()?;
        // What stands behind an operand alone is as wrong as its end.
        let condition = parser.as_condition(parsed)?;
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

impl Condition<'_> {
    /// Shows every path in it.
    pub(crate) fn each_path(&self, show: &mut dyn FnMut(&Path<'_>)) {
        let mut operands = |all: &[&Operand<'_>]| all.iter().for_each(|one| one.path(show));
        match self {
            Self::Or(all) | Self::And(all) => all.iter().for_each(|one| one.each_path(show)),
            Self::Not(condition) => condition.each_path(show),
            Self::Exists(path) | Self::NotExists(path) => show(path),
            Self::HasType(tested, _) => operands(&[tested]),
            Self::Compare(_, one, two) | Self::BeginsWith(one, two) | Self::Contains(one, two) => {
                operands(&[one, two]);
            }
            Self::Between { tested, low, high } => operands(&[tested, low, high]),
            Self::In { tested, members } => {
                tested.path(show);
                members.iter().for_each(|member| member.path(show));
            }
        }
    }
}

impl Operand<'_> {
    fn path(&self, show: &mut dyn FnMut(&Path<'_>)) {
        match self {
            Self::Path(path) => show(path),
            Self::Value(_) => {}
            Self::Size(sized) => sized.path(show),
        }
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

impl<'a> Parser<'a> {
    fn disjunction(&mut self) -> Result<Parsed<'a>, String> {
        let first = self.conjunction()?;
        if !self.cursor.at_keyword("OR") {
            return Ok(first);
        }
        let mut all = vec![self.as_condition(first)?];
        while self.cursor.eat_keyword("OR") {
            let next = self.conjunction()?;
            all.push(self.as_condition(next)?);
        }
        Ok(Condition::Or(all).into())
    }

    fn conjunction(&mut self) -> Result<Parsed<'a>, String> {
        let first = self.negation()?;
        if !self.cursor.at_keyword("AND") {
            return Ok(first);
        }
        let mut all = vec![self.as_condition(first)?];
        while self.cursor.eat_keyword("AND") {
            let next = self.negation()?;
            all.push(self.as_condition(next)?);
        }
        Ok(Condition::And(all).into())
    }

    fn negation(&mut self) -> Result<Parsed<'a>, String> {
        let mut count = 0_usize;
        while self.cursor.eat_keyword("NOT") {
            count += 1;
        }
        let parsed = self.primary()?;
        if count == 0 {
            return Ok(parsed);
        }
        let condition = self.as_condition(parsed)?;
        Ok(match count % 2 {
            0 => condition.into(),
            _ => Condition::Not(Box::new(condition)).into(),
        })
    }

    /// Parentheses or an operand, and the comparison that may follow.
    fn primary(&mut self) -> Result<Parsed<'a>, String> {
        let parsed = if self.cursor.at("(") {
            self.parentheses(Self::disjunction)?
        } else {
            Parsed {
                node: self.atom()?,
                wrapped: false,
            }
        };
        if matches!(parsed.node, Node::Condition(_)) || !self.at_comparison() {
            return Ok(parsed);
        }
        let tested = self.as_operand(parsed.node)?;
        let condition = self.comparison(tested)?;
        self.settle();
        Ok(condition.into())
    }

    fn parentheses(
        &mut self,
        inside: fn(&mut Self) -> Result<Parsed<'a>, String>,
    ) -> Result<Parsed<'a>, String> {
        self.enter()?;
        self.cursor.expect("(")?;
        let inner = inside(self)?;
        self.cursor.expect(")")?;
        self.leave();
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
        self.enter()?;
        self.cursor.expect("(")?;
        let mut all = vec![self.operand()?];
        while self.cursor.eat(",") {
            all.push(self.operand()?);
        }
        self.cursor.expect(")")?;
        self.leave();
        Ok(all)
    }

    fn operand(&mut self) -> Result<Operand<'a>, String> {
        let parsed = self.bare_or_wrapped()?;
        self.as_operand(parsed.node)
    }

    fn bare_or_wrapped(&mut self) -> Result<Parsed<'a>, String> {
        if self.cursor.at("(") {
            return self.parentheses(Self::bare_or_wrapped);
        }
        Ok(Parsed {
            node: self.atom()?,
            wrapped: false,
        })
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
