//! From Go's RE2 syntax to the syntax of Rust's regex crate.
//!
//! The two engines match alike; their syntaxes differ in small ways that configurations do use: `\Q...\E`, `\d`, `\w`,
//! `\s` and `\b` are ASCII in RE2, a bracket inside a class is literal, `{` that begins no repetition is literal,
//! several groups may have the same name. The pattern is read as Go's parser reads it, errors included, and written
//! out in a form that means the same to the regex crate.

mod class;

/// A pattern that RE2 refuses. The texts are Go's own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("error parsing regexp: {reason}: `{excerpt}`")]
pub struct PatternError {
    reason: String,
    excerpt: String,
}

impl PatternError {
    fn new(reason: &str, excerpt: &str) -> Self {
        Self { reason: reason.to_owned(), excerpt: excerpt.to_owned() }
    }

    /// What the regex crate says about a pattern that Go's parser would have let pass.
    pub(super) fn from_engine(pattern: &str, error: &regex::Error) -> Self {
        match error {
            regex::Error::CompiledTooBig(_) => Self::new("expression too large", pattern),
            // The engine's report has several lines; the last one says what is wrong.
            error => Self::new(error.to_string().lines().last().unwrap_or_default(), pattern),
        }
    }
}

/// A pattern for the regex crate.
#[derive(Debug)]
pub(super) struct Translated {
    pub(super) pattern: String,
    /// The names of the groups; the first is the whole match.
    pub(super) group_names: Vec<Option<String>>,
}

/// The greatest number of repetitions, also of nested ones taken together.
const MAX_REPEAT: u32 = 1000;

/// Translates a pattern that has to match a whole text, with `.` matching line feeds.
pub(super) fn translate(pattern: &str) -> Result<Translated, PatternError> {
    translate_as_it_is(&format!("^(?s:{pattern})$"))
}

/// Translates a pattern that matches any part of a text unless it says otherwise, as Go's `regexp.Compile` takes it.
pub(super) fn translate_as_it_is(pattern: &str) -> Result<Translated, PatternError> {
    let mut translator = Translator {
        whole: pattern,
        rest: pattern,
        out: String::with_capacity(pattern.len() + 8),
        outer: Vec::new(),
        group: Group::default(),
        group_names: vec![None],
    };
    translator.run()?;
    Ok(Translated { pattern: translator.out, group_names: translator.group_names })
}

/// What is known about the group that is being read.
#[derive(Default)]
struct Group {
    /// What a repetition would apply to.
    atom: Option<Atom>,
    /// How often its most repeated part is repeated.
    weight: u32,
}

#[derive(Clone, Copy)]
struct Atom {
    /// Where it ends in the output.
    end: usize,
    /// How often its most repeated part is repeated.
    weight: u32,
}

struct Translator<'p> {
    whole: &'p str,
    rest: &'p str,
    out: String,
    outer: Vec<Group>,
    group: Group,
    group_names: Vec<Option<String>>,
}

impl<'p> Translator<'p> {
    fn run(&mut self) -> Result<(), PatternError> {
        // Where the repetition that has just been read begins, if that is what has just been read.
        let mut last_repeat = None;
        while let Some(c) = self.rest.chars().next() {
            let before = self.rest;
            let mut repeat = None;
            match c {
                '(' => self.open_group()?,
                ')' => self.close_group()?,
                '|' => {
                    self.skip(1);
                    self.out.push('|');
                    self.group.atom = None;
                }
                '^' | '$' | '.' => {
                    self.skip(1);
                    self.push_atom(before.get(..1).unwrap_or_default());
                }
                '[' => {
                    let (class, rest) = class::bracket(self.rest)?;
                    self.rest = rest;
                    self.push_atom(&class);
                }
                '*' | '+' | '?' => {
                    self.skip(1);
                    self.repeat(before, last_repeat, 1)?;
                    repeat = Some(before);
                }
                '{' => match counts(self.rest) {
                    Some((least, most, rest)) => {
                        self.rest = rest;
                        let factor =
                            checked_factor(least, most).ok_or_else(|| self.error_at("invalid repeat count", before))?;
                        self.repeat(before, last_repeat, factor)?;
                        repeat = Some(before);
                    }
                    None => self.plain_char(c),
                },
                '\\' => self.escape()?,
                _ => self.plain_char(c),
            }
            last_repeat = repeat;
        }
        if self.outer.is_empty() { Ok(()) } else { Err(PatternError::new("missing closing )", self.whole)) }
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    /// An error that shows the pattern from `from` up to the current place.
    fn error_at(&self, reason: &str, from: &str) -> PatternError {
        let read = from.len() - self.rest.len();
        PatternError::new(reason, from.get(..read).unwrap_or(from))
    }

    fn push_atom(&mut self, text: &str) {
        self.out.push_str(text);
        self.group.atom = Some(Atom { end: self.out.len(), weight: 1 });
        self.group.weight = self.group.weight.max(1);
    }

    fn plain_char(&mut self, c: char) {
        self.skip(c.len_utf8());
        self.push_literal(u32::from(c));
    }

    fn push_literal(&mut self, code: u32) {
        let mut text = String::new();
        class::push_code(&mut text, code);
        self.push_atom(&text);
    }

    /// A repetition that begins at `before`; `factor` is how often it repeats what stands before it.
    fn repeat(&mut self, before: &'p str, last: Option<&'p str>, factor: u32) -> Result<(), PatternError> {
        if self.rest.starts_with('?') {
            self.skip(1);
        }
        if let Some(last) = last {
            return Err(self.error_at("invalid nested repetition operator", last));
        }
        let Some(mut atom) = self.group.atom else {
            // Go's excerpt does not include the question mark of a repetition that is not greedy.
            let text = before.get(..before.len() - self.rest.len()).unwrap_or(before);
            let text = if text.len() > 1 { text.strip_suffix('?').unwrap_or(text) } else { text };
            return Err(PatternError::new("missing argument to repetition operator", text));
        };
        atom.weight = atom.weight.saturating_mul(factor);
        if atom.weight > MAX_REPEAT {
            let text = before.get(..before.len() - self.rest.len()).unwrap_or(before);
            return Err(PatternError::new("invalid repeat count", text));
        }
        let operator = before.get(..before.len() - self.rest.len()).unwrap_or_default();
        // Flags that stand between are no part of what is repeated.
        self.out.insert_str(atom.end, operator);
        atom.end += operator.len();
        self.group.weight = self.group.weight.max(atom.weight);
        self.group.atom = Some(atom);
        Ok(())
    }

    fn open_group(&mut self) -> Result<(), PatternError> {
        if self.rest.starts_with("(?") {
            return self.perl_group();
        }
        self.skip(1);
        self.capture(None);
        Ok(())
    }

    fn capture(&mut self, name: Option<&str>) {
        self.group_names.push(name.map(str::to_owned));
        self.out.push('(');
        self.outer.push(std::mem::take(&mut self.group));
    }

    fn close_group(&mut self) -> Result<(), PatternError> {
        let Some(outer) = self.outer.pop() else {
            return Err(PatternError::new("unexpected )", self.whole));
        };
        self.skip(1);
        self.out.push(')');
        let inner = std::mem::replace(&mut self.group, outer);
        self.group.atom = Some(Atom { end: self.out.len(), weight: inner.weight.max(1) });
        self.group.weight = self.group.weight.max(inner.weight).max(1);
        Ok(())
    }

    /// `(?P<name>`, `(?<name>`, `(?flags:` or `(?flags)`.
    fn perl_group(&mut self) -> Result<(), PatternError> {
        let before = self.rest;
        if let Some(after) = before.strip_prefix("(?P<").or_else(|| before.strip_prefix("(?<")) {
            let Some((name, after)) = after.split_once('>') else {
                return Err(PatternError::new("invalid named capture", before));
            };
            self.rest = after;
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                return Err(self.error_at("invalid named capture", before));
            }
            self.capture(Some(name));
            return Ok(());
        }
        self.skip(2);
        let (mut on, mut off) = (String::new(), String::new());
        let mut negative = false;
        while let Some(c) = self.rest.chars().next() {
            self.skip(c.len_utf8());
            match c {
                'i' | 'm' | 's' | 'U' => {
                    let flags = if negative { &mut off } else { &mut on };
                    if !flags.contains(c) {
                        flags.push(c);
                    }
                }
                '-' if !negative => negative = true,
                ':' | ')' if !negative || !off.is_empty() => {
                    on.retain(|flag| !off.contains(flag));
                    self.push_flags(&on, &off, c);
                    return Ok(());
                }
                _ => break,
            }
        }
        Err(self.error_at("invalid or unsupported Perl syntax", before))
    }

    fn push_flags(&mut self, on: &str, off: &str, end: char) {
        let opens = end == ':';
        if !opens && on.is_empty() && off.is_empty() {
            return;
        }
        self.out.push_str("(?");
        self.out.push_str(on);
        if !off.is_empty() {
            self.out.push('-');
            self.out.push_str(off);
        }
        self.out.push(end);
        if opens {
            self.outer.push(std::mem::take(&mut self.group));
        }
    }

    fn escape(&mut self) -> Result<(), PatternError> {
        let before = self.rest;
        let assertion = match before.chars().nth(1) {
            Some('A') => Some(r"\A"),
            Some('z') => Some(r"\z"),
            Some('b') => Some(r"(?-u:\b)"),
            Some('B') => Some(r"(?-u:\B)"),
            Some('C') => return Err(PatternError::new("invalid escape sequence", r"\C")),
            Some('Q') => {
                let quoted = before.get(2..).unwrap_or_default();
                let (literal, rest) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
                for c in literal.chars() {
                    self.push_literal(u32::from(c));
                }
                self.rest = rest;
                return Ok(());
            }
            _ => None,
        };
        if let Some(assertion) = assertion {
            self.skip(2);
            self.push_atom(assertion);
            return Ok(());
        }
        if let Some((class, rest)) = class::named(before)? {
            self.rest = rest;
            self.push_atom(&class);
            return Ok(());
        }
        let (code, rest) = class::escaped_char(before)?;
        self.rest = rest;
        self.push_literal(code);
        Ok(())
    }
}

/// `{n}`, `{n,}` or `{n,m}`: the lower bound (`None` inside if it is too large to be read), the upper bound, and what
/// follows; nothing if this is no repetition.
fn counts(text: &str) -> Option<(Option<u32>, Most, &str)> {
    let (least, rest) = count(text.strip_prefix('{')?)?;
    let (most, rest) = match rest.strip_prefix(',') {
        None => (least.map_or(Most::TooLarge, Most::Times), rest),
        Some(rest) if rest.starts_with('}') => (Most::Unlimited, rest),
        Some(rest) => {
            let (most, rest) = count(rest)?;
            (most.map_or(Most::TooLarge, Most::Times), rest)
        }
    };
    Some((least, most, rest.strip_prefix('}')?))
}

/// The upper bound of a repetition.
#[derive(Clone, Copy)]
enum Most {
    Unlimited,
    TooLarge,
    Times(u32),
}

/// A number without leading zeros, `None` inside if it has more digits than any count; nothing if there is none.
fn count(text: &str) -> Option<(Option<u32>, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if digits.is_empty() || (digits.len() > 1 && digits.starts_with('0')) {
        return None;
    }
    Some((digits.parse().ok(), rest))
}

/// How often a repetition repeats at most, for the limit on nested repetitions; `None` if its counts are invalid.
fn checked_factor(least: Option<u32>, most: Most) -> Option<u32> {
    let least = least.filter(|least| *least <= MAX_REPEAT)?;
    match most {
        Most::TooLarge => None,
        Most::Unlimited => Some(least.max(1)),
        Most::Times(most) => (least <= most && most <= MAX_REPEAT).then_some(most),
    }
}
