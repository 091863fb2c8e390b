//! JavaScript and CSS without what only their readers need: comments, indentation, spaces beside
//! brackets and operators, long names of private members. Line ends and all other names stay, so that
//! an error still says where it was.

use std::collections::BTreeMap;

/// A script without comments and indentation.
pub(crate) fn script(source: &str) -> String {
    scanned(source, false)
}

/// A whole script, or several made one, without spaces that part nothing. Private members, which no
/// other script can name, get short names.
pub(crate) fn squeeze(source: &str) -> String {
    scanned(source, true)
}

fn scanned(source: &str, squeezes: bool) -> String {
    let out = Vec::with_capacity(source.len());
    let mut scan =
        Scan { source: source.as_bytes(), at: 0, out, squeezes, members: BTreeMap::new() };
    scan.code(0);
    tidy(scan.out)
}

/// The same for a style sheet.
pub(crate) fn style(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some((before, after)) = rest.split_once("/*") {
        out.push_str(before);
        rest = after.split_once("*/").map_or("", |(_, after)| after);
    }
    out.push_str(rest);
    tidy(out.into_bytes())
}

/// Marks the line ends inside template literals while lines are tidied. No source has it.
const KEPT_LINE: u8 = 0;

fn tidy(bytes: Vec<u8>) -> String {
    let text = String::from_utf8(bytes).expect("only whole comments were taken out");
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut out = lines.collect::<Vec<_>>().join("\n").replace(char::from(KEPT_LINE), "\n");
    out.push('\n');
    out
}

struct Scan<'a> {
    source: &'a [u8],
    at: usize,
    out: Vec<u8>,
    squeezes: bool,
    /// Private members in the order they were met.
    members: BTreeMap<&'a [u8], usize>,
}

/// A space beside one of these parts nothing. A plus or minus might belong to a number, a slash
/// begin a comment.
const PARTING: &[u8] = b"(){}[],;:=<>?&|!*";

impl<'a> Scan<'a> {
    fn peek(&self, ahead: usize) -> u8 {
        self.source.get(self.at + ahead).copied().unwrap_or(b' ')
    }

    fn take(&mut self) {
        self.out.push(self.source[self.at]);
        self.at += 1;
    }

    /// Code up to the end, or up to the brace that closes a template's `${`.
    fn code(&mut self, depth: u32) {
        let mut open = depth;
        while self.at < self.source.len() {
            match (self.peek(0), self.peek(1)) {
                (b'/', b'/') => self.skip_to(b"\n", 0),
                (b'/', b'*') => self.skip_to(b"*/", 2),
                (b'/', _) if self.begins_regex() => self.regex(),
                (b' ', next) if self.squeezes && self.parts_nothing(next) => self.at += 1,
                (b'#', next) if self.squeezes && next.is_ascii_alphabetic() => self.member(),
                (quote @ (b'"' | b'\''), _) => self.string(quote),
                (b'`', _) => self.template(),
                (b'{', _) if depth > 0 => {
                    open += 1;
                    self.take();
                }
                (b'}', _) if depth > 0 => {
                    open -= 1;
                    self.take();
                    if open == 0 {
                        return;
                    }
                }
                _ => self.take(),
            }
        }
    }

    fn parts_nothing(&self, next: u8) -> bool {
        let before = self.out.last().copied().unwrap_or(b'\n');
        PARTING.contains(&before) || PARTING.contains(&next)
    }

    /// `#name`: outside of strings and comments that is nothing else.
    fn member(&mut self) {
        let rest = &self.source[self.at + 1..];
        let length = rest
            .iter()
            .position(|c| !c.is_ascii_alphanumeric() && *c != b'_')
            .unwrap_or(rest.len());
        let count = self.members.len();
        let number = *self.members.entry(&rest[..length]).or_insert(count);
        let letter = char::from(b'a' + (number % 26) as u8);
        let more = if number < 26 { String::new() } else { (number / 26).to_string() };
        self.out.extend(format!("#{letter}{more}").into_bytes());
        self.at += 1 + length;
    }

    fn skip_to(&mut self, end: &[u8], past: usize) {
        let rest = &self.source[self.at..];
        let length = rest.windows(end.len()).position(|each| each == end).unwrap_or(rest.len());
        self.at = (self.at + length + past).min(self.source.len());
    }

    fn string(&mut self, quote: u8) {
        self.take();
        while self.at < self.source.len() && self.peek(0) != quote {
            if self.peek(0) == b'\\' {
                self.take();
            }
            self.take();
        }
        self.take();
    }

    fn template(&mut self) {
        self.take();
        while self.at < self.source.len() && self.peek(0) != b'`' {
            match (self.peek(0), self.peek(1)) {
                (b'\\', _) => {
                    self.take();
                    self.take();
                }
                (b'$', b'{') => {
                    self.take();
                    self.take();
                    self.code(1);
                }
                (b'\n', _) => {
                    self.out.push(KEPT_LINE);
                    self.at += 1;
                }
                _ => self.take(),
            }
        }
        self.take();
    }

    fn regex(&mut self) {
        let mut in_class = false;
        self.take();
        while self.at < self.source.len() && (in_class || self.peek(0) != b'/') {
            match self.peek(0) {
                b'\\' => self.take(),
                b'[' => in_class = true,
                b']' => in_class = false,
                _ => {}
            }
            self.take();
        }
        self.take();
    }

    /// A slash divides after a value; a value ends in a name, a number, or a closing bracket.
    fn begins_regex(&self) -> bool {
        let before = self.out.trim_ascii_end();
        let word = before.rsplit(|c| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        match before.last() {
            Some(b')' | b']' | b'}' | b'_' | b'$' | b'"' | b'\'' | b'`') => false,
            Some(c) if c.is_ascii_alphanumeric() => matches!(word, b"return" | b"typeof" | b"case"),
            _ => true,
        }
    }
}
