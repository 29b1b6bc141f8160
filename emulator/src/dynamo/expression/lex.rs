//! Tokens of an expression, read one at a time, and the syntax error that names the wrong one.

/// What a token is; which symbol or word it is, its text says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A bare name, keyword or function: `[A-Za-z_][A-Za-z0-9_]*`.
    Word,
    /// `#name`.
    NamePlaceholder,
    /// `:name`.
    ValuePlaceholder,
    /// Digits.
    Index,
    /// Punctuation or a comparator.
    Symbol,
    /// A character that no expression has.
    Other,
    /// Behind the last token.
    End,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    start: usize,
}

impl Token<'_> {
    fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

/// Where the parser stands: one token ahead, one remembered for the error's sake.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    source: &'a str,
    previous: Token<'a>,
    current: Token<'a>,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(source: &'a str) -> Self {
        let current = token(source, 0);
        Self {
            source,
            previous: Token {
                text: "",
                ..current
            },
            current,
        }
    }

    pub(super) fn current(&self) -> Token<'a> {
        self.current
    }

    /// Takes the current token and moves on.
    pub(super) fn take(&mut self) -> Token<'a> {
        self.previous = self.current;
        self.current = token(self.source, self.current.end());
        self.previous
    }

    pub(super) fn at(&self, symbol: &str) -> bool {
        self.current.kind == Kind::Symbol && self.current.text == symbol
    }

    pub(super) fn eat(&mut self, symbol: &str) -> bool {
        let found = self.at(symbol);
        if found {
            self.take();
        }
        found
    }

    pub(super) fn expect(&mut self, symbol: &str) -> Result<(), String> {
        if self.eat(symbol) {
            Ok(())
        } else {
            Err(self.syntax_error())
        }
    }

    pub(super) fn at_keyword(&self, keyword: &str) -> bool {
        self.current.kind == Kind::Word && self.current.text.eq_ignore_ascii_case(keyword)
    }

    pub(super) fn eat_keyword(&mut self, keyword: &str) -> bool {
        let found = self.at_keyword(keyword);
        if found {
            self.take();
        }
        found
    }

    /// The current token should not be here.
    pub(super) fn syntax_error(&self) -> String {
        let current = self.current;
        if current.kind == Kind::End {
            let near = self.source[self.previous.start..].trim_end();
            return format!("Syntax error; token: \"<EOF>\", near: \"{near}\"");
        }
        let next = token(self.source, current.end());
        let near = self.source[self.previous.start..next.end()].trim_end();
        format!(
            "Syntax error; token: \"{}\", near: \"{near}\"",
            current.text
        )
    }
}

/// The token at or after `from`.
fn token(source: &str, from: usize) -> Token<'_> {
    let rest = &source[from..];
    let trimmed = rest.trim_start_matches([' ', '\t', '\r', '\n']);
    let start = source.len() - trimmed.len();
    let bytes = trimmed.as_bytes();
    let run = |from: usize| {
        let word = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
        from + bytes[from..].iter().take_while(word).count()
    };
    let (kind, length) = match bytes {
        [] => (Kind::End, 0),
        [b'A'..=b'Z' | b'a'..=b'z' | b'_', ..] => (Kind::Word, run(0)),
        [b'#', ..] => (Kind::NamePlaceholder, run(1)),
        [b':', ..] => (Kind::ValuePlaceholder, run(1)),
        [b'0'..=b'9', ..] => (
            Kind::Index,
            bytes
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count(),
        ),
        [b'<', b'=' | b'>', ..] | [b'>', b'=', ..] => (Kind::Symbol, 2),
        [
            b'(' | b')' | b'[' | b']' | b'.' | b',' | b'=' | b'<' | b'>' | b'+' | b'-',
            ..,
        ] => (Kind::Symbol, 1),
        _ => (
            Kind::Other,
            trimmed.chars().next().map_or(0, char::len_utf8),
        ),
    };
    Token {
        kind,
        text: &trimmed[..length],
        start,
    }
}
