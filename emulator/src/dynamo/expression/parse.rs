//! What the grammars share: the cursor with its limits, paths, placeholders, and the faults
//! noted on the way, of which the service reports one by rank and not by place.

use super::lex::{Cursor, Kind};
use super::path::{Clash, Path, Step, clash};
use super::placeholders::Placeholders;
use super::reserved::is_reserved;
use crate::dynamo::value::AttributeValue;

/// Most comparisons and functions in one expression.
const OPERATORS_MAX: usize = 300;
/// Deepest nesting of conditions, and of functions in an update. Above the limit on operators, so
/// that it is met only by nesting that has no operator to count; it bounds the stack that it takes
/// to evaluate and to drop the tree.
const DEPTH_MAX: usize = 320;
/// Deepest nesting of parentheses and functions in one operand of a condition. Anything deeper
/// than two is refused anyway; it bounds the parser's stack.
const OPERAND_DEPTH_MAX: usize = 32;

/// Which expression is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grammar {
    /// Condition, filter and key condition.
    Condition,
    Update,
    Projection,
}

impl Grammar {
    /// Words that are never names.
    fn keywords(self) -> &'static [&'static str] {
        match self {
            Self::Condition => &["AND", "OR", "NOT", "BETWEEN", "IN"],
            Self::Update => &["SET", "REMOVE", "ADD", "DELETE"],
            Self::Projection => &[],
        }
    }
}

/// What can be wrong with an expression that can be parsed. Each grammar has its own order of
/// these; of several faults of one rank the first counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rank {
    RedundantParentheses,
    UnknownFunction,
    MisusedFunction,
    Reserved,
    /// The worst of one comparison or function of a condition; the first of them counts.
    Settled,
    RepeatedSection,
    UndefinedName,
    UndefinedValue,
    Operands,
    Distinct,
    Types,
    Overlap,
    Conflict,
}

/// The faults noted so far.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<(Rank, String)>);

impl Faults {
    /// Keeps the first fault of each rank.
    pub(super) fn note(&mut self, rank: Rank, text: impl FnOnce() -> String) {
        if self.get(rank).is_none() {
            self.0.push((rank, text()));
        }
    }

    /// The fault to report, if there is one.
    pub(super) fn worst(&self, order: &[Rank]) -> Option<&str> {
        order.iter().find_map(|rank| self.get(*rank))
    }

    fn get(&self, rank: Rank) -> Option<&str> {
        self.0
            .iter()
            .find(|(found, _)| *found == rank)
            .map(|(_, text)| text.as_str())
    }

    pub(super) fn any(&self) -> bool {
        !self.0.is_empty()
    }
}

#[derive(Debug)]
pub(super) struct Parser<'a> {
    pub(super) cursor: Cursor<'a>,
    pub(super) faults: Faults,
    pub(super) grammar: Grammar,
    placeholders: &'a Placeholders<'a>,
    operators: usize,
    depth: usize,
    operand_depth: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(
        grammar: Grammar,
        source: &'a str,
        placeholders: &'a Placeholders<'a>,
    ) -> Self {
        Self {
            cursor: Cursor::new(source),
            faults: Faults::default(),
            grammar,
            placeholders,
            operators: 0,
            depth: 0,
            operand_depth: 0,
        }
    }

    /// Refuses what stands behind the expression, then what was noted.
    pub(super) fn finish(&self, order: &[Rank]) -> Result<(), String> {
        if self.cursor.current().kind != Kind::End {
            return Err(self.cursor.syntax_error());
        }
        self.faults
            .worst(order)
            .map_or(Ok(()), |text| Err(text.to_owned()))
    }

    pub(super) fn count_operator(&mut self) -> Result<(), String> {
        self.operators += 1;
        if self.operators > OPERATORS_MAX {
            return Err(too_many_operators(self.operators));
        }
        Ok(())
    }

    /// Goes one level of nesting down; the caller comes back up by [`Parser::leave`].
    pub(super) fn enter(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(too_many_operators(self.depth));
        }
        Ok(())
    }

    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }

    /// As [`Parser::enter`], within an operand of a condition.
    pub(super) fn enter_operand(&mut self) -> Result<(), String> {
        self.operand_depth += 1;
        if self.operand_depth > OPERAND_DEPTH_MAX {
            return Err(too_many_operators(OPERATORS_MAX + 1));
        }
        Ok(())
    }

    pub(super) fn leave_operand(&mut self) {
        self.operand_depth -= 1;
    }

    /// Whether the current token can begin a path, or a function.
    pub(super) fn at_name(&self) -> bool {
        let token = self.cursor.current();
        match token.kind {
            Kind::Word => !self
                .grammar
                .keywords()
                .iter()
                .any(|keyword| keyword.eq_ignore_ascii_case(token.text)),
            Kind::NamePlaceholder => true,
            Kind::ValuePlaceholder | Kind::Index | Kind::Symbol | Kind::Other | Kind::End => false,
        }
    }

    /// Takes a bare name or `#placeholder`, and says what it names.
    fn name(&mut self) -> Result<&'a str, String> {
        if !self.at_name() {
            return Err(self.cursor.syntax_error());
        }
        let token = self.cursor.take();
        if token.kind == Kind::NamePlaceholder {
            return Ok(self.defined_name(token.text));
        }
        Ok(self.bare_name(token.text))
    }

    /// A word that turned out to be a name.
    fn bare_name(&mut self, word: &'a str) -> &'a str {
        if is_reserved(word) {
            self.faults.note(Rank::Reserved, || {
                format!("Attribute name is a reserved keyword; reserved keyword: {word}")
            });
        }
        word
    }

    fn defined_name(&mut self, placeholder: &'a str) -> &'a str {
        let placeholders = self.placeholders;
        placeholders.name(placeholder).unwrap_or_else(|| {
            self.faults.note(Rank::UndefinedName, || {
                format!(
                    "An expression attribute name used in the document path is not defined; \
                     attribute name: {placeholder}"
                )
            });
            placeholder
        })
    }

    /// Takes a `:placeholder`.
    pub(super) fn value(&mut self) -> Result<&'a AttributeValue, String> {
        if self.cursor.current().kind != Kind::ValuePlaceholder {
            return Err(self.cursor.syntax_error());
        }
        let placeholder = self.cursor.take().text;
        let placeholders = self.placeholders;
        Ok(placeholders.value(placeholder).unwrap_or_else(|| {
            // A condition reports whichever it met first, an update names before values.
            let rank = match self.grammar {
                Grammar::Condition => Rank::UndefinedName,
                Grammar::Update | Grammar::Projection => Rank::UndefinedValue,
            };
            self.faults.note(rank, || {
                format!(
                    "An expression attribute value used in expression is not defined; \
                     attribute value: {placeholder}"
                )
            });
            &AttributeValue::Null
        }))
    }

    /// Takes a path.
    pub(super) fn path(&mut self) -> Result<Path<'a>, String> {
        let head = self.name()?;
        self.path_below(head)
    }

    /// Takes what follows a word that is a path's head.
    pub(super) fn path_from_word(&mut self, word: &'a str) -> Result<Path<'a>, String> {
        let head = self.bare_name(word);
        self.path_below(head)
    }

    fn path_below(&mut self, head: &'a str) -> Result<Path<'a>, String> {
        self.extend(Path {
            head,
            rest: Vec::new(),
        })
    }

    /// Takes the `.name` and `[index]` that follow a path.
    pub(super) fn extend(&mut self, mut path: Path<'a>) -> Result<Path<'a>, String> {
        loop {
            if self.cursor.eat(".") {
                let name = self.name()?;
                path.rest.push(Step::Name(name));
            } else if self.cursor.eat("[") {
                if self.cursor.current().kind != Kind::Index {
                    return Err(self.cursor.syntax_error());
                }
                let digits = self.cursor.take().text;
                self.cursor.expect("]")?;
                let index: u32 = digits.parse().map_err(|_| {
                    format!("List index is not within the allowable range; index: [{digits}]")
                })?;
                path.rest.push(Step::Index(index as usize));
            } else {
                return Ok(path);
            }
        }
    }

    /// Notes where a path clashes with those before it.
    pub(super) fn note_clash(&mut self, before: &[Path<'a>], path: &Path<'a>) {
        for found in before.iter().filter_map(|other| clash(other, path)) {
            match found {
                Clash::Overlap(text) => self.faults.note(Rank::Overlap, || text),
                Clash::Conflict(text) => self.faults.note(Rank::Conflict, || text),
            }
        }
    }
}

fn too_many_operators(count: usize) -> String {
    let count = count.min(OPERATORS_MAX + 1);
    format!("The expression contains too many operators; operator count: {count}")
}
