//! A look at the text of an expression before it is parsed: how long it is, how deep it nests, how many operators it has.
//!
//! The parser recurses for each level and for each link of a chain, so a text from a file could end the process with its
//! stack. This is one pass over the bytes that knows texts and comments, and no more of the language.

use super::expression::Problem;

/// Bytes of an expression.
pub const LONGEST: usize = 65_536;

/// Brackets and signs within each other.
pub const DEEPEST: usize = 64;

/// Operators, dots and brackets of an expression.
pub const OPERATORS: usize = 4_000;

/// Levels of the tree that an expression makes: a chain of so many terms, calls or `? :`.
pub const LEVELS: usize = 1_000;

/// What a long chain is replaced by.
pub(super) const SHORTER: &str = "compare with a list, name in [\"a\", \"b\"], look it up in a map, {\"a\": \"x\"}[name], or let the source say it in a column";

/// Refuses what is too long, too deep or has too many operators to be parsed.
///
/// # Errors
/// Which, with its place.
pub(super) fn bounded(text: &str) -> Result<(), Problem> {
    if text.len() > LONGEST {
        let message = format!("the expression has {} bytes, and {LONGEST} are admitted", text.len());
        return Err(Problem::new(message).help(SHORTER));
    }
    let mut scan = Scan { text: text.as_bytes(), ..Scan::default() };
    while let Some(byte) = scan.text.get(scan.at) {
        scan.byte(*byte);
        if scan.nested + scan.signs > DEEPEST {
            let message = format!("the expression nests more than {DEEPEST} deep{}", place(text, scan.at));
            return Err(
                Problem::new(message).help("a chain such as a + b + c needs no brackets; look for a doubled one")
            );
        }
        if scan.operators > OPERATORS {
            let message = format!("the expression has more than {OPERATORS} operators{}", place(text, scan.at));
            return Err(Problem::new(message).help(SHORTER));
        }
    }
    Ok(())
}

/// Where a byte stands, in words.
fn place(text: &str, at: usize) -> String {
    let before = &text.as_bytes()[..at.min(text.len()).saturating_sub(1)];
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|b| **b != b'\n').filter(|b| **b & 0xC0 != 0x80).count() + 1;
    if line > 1 { format!(" at line {line}, column {column}") } else { format!(" at column {column}") }
}

#[derive(Default)]
struct Scan<'t> {
    text: &'t [u8],
    at: usize,
    /// Open brackets, and the signs before them.
    nested: usize,
    /// For each open bracket, itself and the signs before it.
    open: Vec<usize>,
    /// Signs since the last operand: `!`, and `-` where nothing stands before it.
    signs: usize,
    operators: usize,
    /// Whether what was read last is an operand, so that `-` subtracts.
    operand: bool,
}

impl Scan<'_> {
    fn byte(&mut self, byte: u8) {
        self.at += 1;
        match byte {
            b'"' | b'\'' => self.quoted(byte),
            b'/' if self.text.get(self.at) == Some(&b'/') => {
                let rest = &self.text[self.at..];
                self.at += rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
            }
            b'(' | b'[' | b'{' => {
                self.open.push(self.signs + 1);
                self.nested += self.signs + 1;
                self.operators += 1;
                self.operator();
            }
            b')' | b']' | b'}' => {
                self.nested -= self.open.pop().unwrap_or(0);
                self.operand();
            }
            b'!' | b'-' if !self.operand && self.text.get(self.at) != Some(&b'=') => {
                self.signs += 1;
                self.operators += 1;
            }
            b'&' | b'|' | b'=' | b'!' | b'<' | b'>' => {
                let double = self.at > 1 && matches!(self.text[self.at - 2], b'&' | b'|' | b'=' | b'!' | b'<' | b'>');
                self.operators += usize::from(!double);
                self.operator();
            }
            b'+' | b'-' | b'*' | b'/' | b'%' | b'?' | b'.' => {
                self.operators += 1;
                self.operator();
            }
            b',' | b':' => self.operator(),
            b' ' | b'\t' | b'\r' | b'\n' => {}
            _ => self.operand(),
        }
    }

    fn operator(&mut self) {
        self.operand = false;
        self.signs = 0;
    }

    fn operand(&mut self) {
        self.operand = true;
        self.signs = 0;
    }

    /// Steps over a text, whose first quote was just read. One that is not closed goes to the end.
    fn quoted(&mut self, quote: u8) {
        let before = &self.text[..self.at - 1];
        let prefix = before.iter().rev().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_');
        let raw = prefix.clone().count() <= 2
            && prefix.clone().all(|b| b"rRbB".contains(b))
            && prefix.clone().any(|b| b"rR".contains(b));
        let triple = self.text[self.at..].starts_with(&[quote, quote]);
        if triple {
            self.at += 2;
        }
        let end: &[u8] = if triple { &[quote; 3] } else { &[quote] };
        while self.at < self.text.len() && !self.text[self.at..].starts_with(end) {
            self.at += if !raw && self.text[self.at] == b'\\' { 2 } else { 1 };
        }
        self.at = (self.at + end.len()).min(self.text.len());
        self.operand();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_is_that_of_brackets_and_signs() {
        let nested = |open: &str, close: &str, n: usize| format!("{}x{}", open.repeat(n), close.repeat(n));
        for (open, close) in [("(", ")"), ("[", "]"), ("{1:", "}"), ("!", ""), ("- ", ""), ("f(", ")"), ("a[", "]")] {
            assert_eq!(bounded(&nested(open, close, DEEPEST)), Ok(()), "{open}");
            let told = bounded(&nested(open, close, DEEPEST + 1)).expect_err(open).message;
            assert!(told.contains("nests more than 64 deep at column "), "{told}");
        }
        assert!(bounded(&nested("-(", ")", 33)).is_err(), "a sign and a bracket are two levels");
        for chain in ["x - ", "x + ", "x == -1 && ", "!x || ", "f(x).", "a ? b : "] {
            assert_eq!(bounded(&format!("{}x", chain.repeat(300))), Ok(()), "{chain}");
        }
    }

    #[test]
    fn what_stands_in_texts_and_comments_counts_for_nothing() {
        for text in [
            format!("x == '{}'", "(".repeat(500)),
            format!("x == \"{}\"", "[\\\"(".repeat(500)),
            format!("x == r'{}\\'", "(".repeat(500)),
            format!("x == '''{}'\"'''", "(".repeat(500)),
            format!("x // {}\n + y", "(".repeat(500)),
            format!("x in [{}]", "'a-b.c', ".repeat(5_000)),
        ] {
            assert_eq!(bounded(&text), Ok(()), "{}", &text[..20]);
        }
        assert!(bounded(&format!("x == 'a' {}", "(".repeat(65))).is_err());
        assert!(bounded(&format!("bar'a\\' + {}", "(".repeat(65))).is_ok(), "within a text");
    }

    #[test]
    fn length_and_operators_are_bounded_with_figures_and_place() {
        let long = bounded(&format!("'{}'", "x".repeat(LONGEST))).expect_err("too long");
        assert!(long.message.contains("65538 bytes, and 65536 are admitted"), "{long:?}");
        let many = bounded(&vec!["a"; 4_002].join("\n+")).expect_err("too many");
        assert!(many.message.contains("more than 4000 operators at line 4002, column 1"), "{many:?}");
        assert!(many.help.is_some_and(|help| help.contains("in [")));
        assert_eq!(bounded(&vec!["a >= b"; 1_900].join(" && ")), Ok(()));
    }
}
