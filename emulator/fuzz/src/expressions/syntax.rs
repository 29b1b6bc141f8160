//! Tokens, trees and grammars of the naive interpreter: by recursive descent with backtracking from
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html>
//! and its neighbours. Parentheses stay in the trees, for the one rule there is about them.

use super::Fault;

/// Deeper than any expression that is accepted.
const DEPTH_MAX: usize = 320;
const OPERAND_DEPTH_MAX: usize = 32;

const CONDITION_WORDS: &[&str] = &["AND", "OR", "NOT", "BETWEEN", "IN"];
const UPDATE_WORDS: &[&str] = &["SET", "REMOVE", "ADD", "DELETE"];

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    NameMark(String),
    ValueMark(String),
    Digits(String),
    Sign(String),
}

#[derive(Clone, Debug)]
pub(super) enum Part {
    Bare(String),
    Mark(String),
    Index(String),
}

#[derive(Clone, Debug)]
pub(super) struct Path {
    pub(super) parts: Vec<Part>,
    /// Two pairs of parentheses stand around some beginning of it.
    pub(super) is_doubly_wrapped: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Operand {
    Path(Path),
    Value(String),
    Call(String, Vec<Self>),
    Wrapped(Box<Self>),
}

impl Operand {
    pub(super) fn bare(&self) -> &Self {
        match self {
            Self::Wrapped(inner) => inner.bare(),
            Self::Path(_) | Self::Value(_) | Self::Call(..) => self,
        }
    }
}

#[derive(Debug)]
pub(super) enum Condition {
    Or(Vec<Self>),
    And(Vec<Self>),
    Not(Box<Self>),
    Wrapped(Box<Self>),
    Compare(String, Operand, Operand),
    Between(Operand, Operand, Operand),
    In(Operand, Vec<Operand>),
    Call(String, Vec<Operand>),
}

#[derive(Debug)]
pub(super) enum Right {
    One(Operand),
    Sum(String, Operand, Operand),
}

#[derive(Debug)]
pub(super) enum Action {
    Set(Path, Right),
    Remove(Path),
    Add(Path, String),
    Delete(Path, String),
}

/// The sections of an update, in order.
pub(super) type Update = Vec<(&'static str, Vec<Action>)>;

pub(super) fn condition(text: &str) -> Result<Condition, Fault> {
    let mut reader = Reader::new(text, CONDITION_WORDS)?;
    let condition = reader.or(0)?;
    reader.end()?;
    Ok(condition)
}

pub(super) fn update(text: &str) -> Result<Update, Fault> {
    let mut reader = Reader::new(text, UPDATE_WORDS)?;
    let mut sections = Vec::new();
    loop {
        sections.push(reader.section()?);
        if reader.end().is_ok() {
            return Ok(sections);
        }
    }
}

pub(super) fn projection(text: &str) -> Result<Vec<Path>, Fault> {
    let mut reader = Reader::new(text, &[])?;
    let mut paths = vec![reader.path()?];
    while reader.eat(",") {
        paths.push(reader.path()?);
    }
    reader.end()?;
    Ok(paths)
}

fn tokens(text: &str) -> Result<Vec<Token>, Fault> {
    let chars: Vec<char> = text.chars().collect();
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut tokens = Vec::new();
    let mut place = 0;
    while let Some(&first) = chars.get(place) {
        let run = |from: usize, test: &dyn Fn(char) -> bool| -> String {
            chars[from..]
                .iter()
                .copied()
                .take_while(|c| test(*c))
                .collect()
        };
        let pair: String = chars[place..].iter().take(2).collect();
        let (length, token) = match first {
            ' ' | '\t' | '\r' | '\n' => {
                place += 1;
                continue;
            }
            'a'..='z' | 'A'..='Z' | '_' => {
                let word = run(place, &is_word);
                (word.len(), Token::Word(word))
            }
            '#' => {
                let name = run(place + 1, &is_word);
                (1 + name.len(), Token::NameMark(format!("#{name}")))
            }
            ':' => {
                let name = run(place + 1, &is_word);
                (1 + name.len(), Token::ValueMark(format!(":{name}")))
            }
            '0'..='9' => {
                let digits = run(place, &|c| c.is_ascii_digit());
                (digits.len(), Token::Digits(digits))
            }
            _ if ["<=", ">=", "<>"].contains(&&*pair) => (2, Token::Sign(pair)),
            '(' | ')' | '[' | ']' | '.' | ',' | '=' | '<' | '>' | '+' | '-' => {
                (1, Token::Sign(first.to_string()))
            }
            _ => return Err(Fault::Syntax),
        };
        tokens.push(token);
        place += length;
    }
    Ok(tokens)
}

struct Reader {
    tokens: Vec<Token>,
    place: usize,
    /// What no name and no function can be called in this kind of expression.
    words: &'static [&'static str],
}

impl Reader {
    fn new(text: &str, words: &'static [&'static str]) -> Result<Self, Fault> {
        if text.is_empty() {
            return Err(Fault::Meaning);
        }
        if text.len() > 4096 {
            return Err(Fault::Limit);
        }
        Ok(Self {
            tokens: tokens(text)?,
            place: 0,
            words,
        })
    }

    fn next(&self) -> Option<&Token> {
        self.tokens.get(self.place)
    }

    fn end(&self) -> Result<(), Fault> {
        match self.next() {
            None => Ok(()),
            Some(_) => Err(Fault::Syntax),
        }
    }

    fn at(&self, sign: &str) -> bool {
        matches!(self.next(), Some(Token::Sign(found)) if found == sign)
    }

    fn eat(&mut self, sign: &str) -> bool {
        let is_there = self.at(sign);
        self.place += usize::from(is_there);
        is_there
    }

    fn need(&mut self, sign: &str) -> Result<(), Fault> {
        if self.eat(sign) {
            Ok(())
        } else {
            Err(Fault::Syntax)
        }
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let is_there =
            matches!(self.next(), Some(Token::Word(found)) if found.eq_ignore_ascii_case(word));
        self.place += usize::from(is_there);
        is_there
    }

    /// A word that is none of the grammar's own.
    fn free_word(&mut self) -> Option<String> {
        let Some(Token::Word(word)) = self.next() else {
            return None;
        };
        if self.words.iter().any(|own| own.eq_ignore_ascii_case(word)) {
            return None;
        }
        let word = word.clone();
        self.place += 1;
        Some(word)
    }

    fn value_mark(&mut self) -> Result<String, Fault> {
        let Some(Token::ValueMark(mark)) = self.next() else {
            return Err(Fault::Syntax);
        };
        let mark = mark.clone();
        self.place += 1;
        Ok(mark)
    }

    fn name(&mut self) -> Result<Part, Fault> {
        if let Some(Token::NameMark(mark)) = self.next() {
            let mark = mark.clone();
            self.place += 1;
            return Ok(Part::Mark(mark));
        }
        self.free_word().map(Part::Bare).ok_or(Fault::Syntax)
    }

    fn path(&mut self) -> Result<Path, Fault> {
        let mut parts = vec![self.name()?];
        self.tail(&mut parts)?;
        Ok(Path {
            parts,
            is_doubly_wrapped: false,
        })
    }

    fn tail(&mut self, parts: &mut Vec<Part>) -> Result<(), Fault> {
        loop {
            if self.eat(".") {
                parts.push(self.name()?);
            } else if self.eat("[") {
                let Some(Token::Digits(digits)) = self.next() else {
                    return Err(Fault::Syntax);
                };
                parts.push(Part::Index(digits.clone()));
                self.place += 1;
                self.need("]")?;
            } else {
                return Ok(());
            }
        }
    }

    // Conditions, from the weakest binding to the strongest.

    fn or(&mut self, depth: usize) -> Result<Condition, Fault> {
        let mut all = vec![self.and(depth)?];
        while self.eat_word("OR") {
            all.push(self.and(depth)?);
        }
        Ok(if all.len() == 1 {
            all.remove(0)
        } else {
            Condition::Or(all)
        })
    }

    fn and(&mut self, depth: usize) -> Result<Condition, Fault> {
        let mut all = vec![self.not(depth)?];
        while self.eat_word("AND") {
            all.push(self.not(depth)?);
        }
        Ok(if all.len() == 1 {
            all.remove(0)
        } else {
            Condition::And(all)
        })
    }

    fn not(&mut self, depth: usize) -> Result<Condition, Fault> {
        let mut is_negated = false;
        let mut count = 0;
        while self.eat_word("NOT") {
            is_negated = !is_negated;
            count += 1;
        }
        let condition = self.primary(depth)?;
        Ok(match (count, is_negated) {
            (0, _) => condition,
            (_, true) => Condition::Not(Box::new(condition)),
            // Twice negated, but no longer right behind a parenthesis.
            (_, false) => Condition::And(vec![condition]),
        })
    }

    fn primary(&mut self, depth: usize) -> Result<Condition, Fault> {
        let start = self.place;
        let operand = self.operand(0);
        let is_too_deep = matches!(operand, Err(Fault::Limit));
        if let Ok(operand) = operand {
            if let Some(condition) = self.comparison(&operand)? {
                return Ok(condition);
            }
            if let Operand::Call(name, arguments) = operand {
                return Ok(Condition::Call(name, arguments));
            }
        }
        self.place = start;
        let wrapped = self.wrapped(depth);
        // An operand may have been there, only deeper than was looked.
        wrapped.map_err(|fault| if is_too_deep { Fault::Limit } else { fault })
    }

    fn wrapped(&mut self, depth: usize) -> Result<Condition, Fault> {
        if depth > DEPTH_MAX {
            return Err(Fault::Limit);
        }
        self.need("(")?;
        let inner = self.or(depth + 1)?;
        self.need(")")?;
        Ok(Condition::Wrapped(Box::new(inner)))
    }

    fn comparison(&mut self, tested: &Operand) -> Result<Option<Condition>, Fault> {
        let tested = || tested.clone();
        for sign in ["=", "<>", "<=", ">=", "<", ">"] {
            if self.eat(sign) {
                let other = self.operand(0)?;
                return Ok(Some(Condition::Compare(sign.to_owned(), tested(), other)));
            }
        }
        if self.eat_word("BETWEEN") {
            let low = self.operand(0)?;
            if !self.eat_word("AND") {
                return Err(Fault::Syntax);
            }
            let high = self.operand(0)?;
            return Ok(Some(Condition::Between(tested(), low, high)));
        }
        if self.eat_word("IN") {
            let members = self.list(0)?;
            return Ok(Some(Condition::In(tested(), members)));
        }
        Ok(None)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Operand>, Fault> {
        self.need("(")?;
        let mut all = vec![self.operand(depth + 1)?];
        while self.eat(",") {
            all.push(self.operand(depth + 1)?);
        }
        self.need(")")?;
        Ok(all)
    }

    fn operand(&mut self, depth: usize) -> Result<Operand, Fault> {
        if depth > OPERAND_DEPTH_MAX {
            return Err(Fault::Limit);
        }
        if !self.eat("(") {
            return self.simple(|reader| reader.list(depth));
        }
        let inner = self.operand(depth + 1)?;
        self.need(")")?;
        let is_twice = matches!(inner, Operand::Wrapped(_));
        if let Operand::Path(path) = inner.bare()
            && (self.at(".") || self.at("["))
        {
            let mut path = path.clone();
            path.is_doubly_wrapped |= is_twice;
            self.tail(&mut path.parts)?;
            return Ok(Operand::Path(path));
        }
        Ok(Operand::Wrapped(Box::new(inner)))
    }

    /// A value, a path, or a function with what `list` reads.
    fn simple(
        &mut self,
        list: impl FnOnce(&mut Self) -> Result<Vec<Operand>, Fault>,
    ) -> Result<Operand, Fault> {
        if let Some(Token::ValueMark(_)) = self.next() {
            return Ok(Operand::Value(self.value_mark()?));
        }
        let start = self.place;
        if let Some(word) = self.free_word() {
            if self.at("(") {
                return Ok(Operand::Call(word, list(self)?));
            }
            self.place = start;
        }
        Ok(Operand::Path(self.path()?))
    }

    // Updates.

    fn section(&mut self) -> Result<(&'static str, Vec<Action>), Fault> {
        let found = UPDATE_WORDS.iter().find(|word| self.eat_word(word));
        let section = *found.ok_or(Fault::Syntax)?;
        let mut actions = vec![self.action(section)?];
        while self.eat(",") {
            actions.push(self.action(section)?);
        }
        Ok((section, actions))
    }

    fn action(&mut self, section: &str) -> Result<Action, Fault> {
        let path = self.path()?;
        Ok(match section {
            "SET" => {
                self.need("=")?;
                Action::Set(path, self.right()?)
            }
            "REMOVE" => Action::Remove(path),
            "ADD" => Action::Add(path, self.value_mark()?),
            _ => Action::Delete(path, self.value_mark()?),
        })
    }

    fn right(&mut self) -> Result<Right, Fault> {
        let start = self.place;
        match self.sum() {
            Err(Fault::Syntax) if matches!(self.tokens.get(start), Some(Token::Sign(sign)) if sign == "(") =>
            {
                self.place = start + 1;
                let sum = self.sum()?;
                self.need(")")?;
                Ok(sum)
            }
            other => other,
        }
    }

    fn sum(&mut self) -> Result<Right, Fault> {
        let first = self.term(0)?;
        for sign in ["+", "-"] {
            if self.eat(sign) {
                return Ok(Right::Sum(sign.to_owned(), first, self.term(0)?));
            }
        }
        Ok(Right::One(first))
    }

    fn term(&mut self, depth: usize) -> Result<Operand, Fault> {
        if depth > DEPTH_MAX {
            return Err(Fault::Limit);
        }
        if !self.eat("(") {
            return self.simple(|reader| reader.terms(depth));
        }
        let inner = self.simple(|reader| reader.terms(depth))?;
        self.need(")")?;
        Ok(Operand::Wrapped(Box::new(inner)))
    }

    fn terms(&mut self, depth: usize) -> Result<Vec<Operand>, Fault> {
        self.need("(")?;
        let mut all = vec![self.term(depth + 1)?];
        while self.eat(",") {
            all.push(self.term(depth + 1)?);
        }
        self.need(")")?;
        Ok(all)
    }
}
