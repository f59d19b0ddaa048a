//! What a person reads: a block for each destination, a line for each check, and below them what to do.

use std::io::Write;

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// Well.
    Ok,
    /// Worth knowing; nothing has to be done.
    Note,
    /// Something has to be done.
    Fail,
}

impl Mark {
    const fn text(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Fail => "FAIL",
        }
    }
}

/// How wide advice is written: what fits into a terminal that shares its screen.
const WIDTH: usize = 100;
/// What of a stranger's words is shown.
const WORDS: usize = 400;

/// Writes as it goes, so that whoever waits for a timeout sees what it is about.
pub(super) struct Report<'w> {
    out: &'w mut dyn Write,
    advice: Vec<String>,
    failed: bool,
}

impl<'w> Report<'w> {
    pub(super) fn new(out: &'w mut dyn Write) -> Self {
        Self { out, advice: Vec::new(), failed: false }
    }

    /// Begins a block.
    pub(super) fn block(&mut self, title: &str) {
        self.say(title);
    }

    /// One check.
    pub(super) fn line(&mut self, mark: Mark, subject: &str, text: &str) {
        self.failed |= mark == Mark::Fail;
        self.say(&format!("  {subject:<12} {:<5} {text}", mark.text()));
    }

    /// Something to do about what was found. The same advice is given once a block.
    pub(super) fn advise(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.advice.contains(&text) {
            self.advice.push(text);
        }
    }

    /// Ends a block with what to do. Returns whether all of it was well.
    pub(super) fn end(&mut self) -> bool {
        let advice = std::mem::take(&mut self.advice);
        if !advice.is_empty() {
            self.say("  What to do:");
        }
        for text in advice {
            for (at, line) in wrapped(&text, WIDTH - 6).iter().enumerate() {
                self.say(&format!("    {} {line}", if at == 0 { "-" } else { " " }));
            }
        }
        self.say("");
        !std::mem::take(&mut self.failed)
    }

    /// A line by itself.
    pub(super) fn say(&mut self, text: &str) {
        // Nobody is left to tell if this fails, and the exit code still says it.
        writeln!(self.out, "{text}").and_then(|()| self.out.flush()).unwrap_or_default();
    }
}

/// The words of somebody else on one line: cut, without control characters (a terminal would obey them), and without what AWS repeats of
/// a request whose signature is wrong, which holds the session token.
pub(super) fn words(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes.get(..WORDS * 8).unwrap_or(bytes));
    let text = aws::without_request(&text);
    let printable: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut words = printable.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((at, _)) = words.char_indices().nth(WORDS) {
        words.truncate(at);
        words.push('…');
    }
    words
}

/// `text` in lines of at most `width` characters, broken at spaces; a longer word stays whole, so that it can be copied.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let len = word.chars().count();
        if used > 0 && used + 1 + len > width {
            lines.push(String::new());
            used = 0;
        }
        if let Some(line) = lines.last_mut() {
            if used > 0 {
                line.push(' ');
                used += 1;
            }
            line.push_str(word);
            used += len;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_a_title_its_checks_and_what_to_do() {
        let mut out = Vec::new();
        let mut report = Report::new(&mut out);
        report.block("exporter \"a\"");
        report.line(Mark::Ok, "signing", "x");
        report.advise("do this");
        report.advise("do this");
        assert!(report.end());
        report.line(Mark::Fail, "write", "y");
        assert!(!report.end());
        assert_eq!(
            String::from_utf8_lossy(&out),
            "exporter \"a\"\n  signing      ok    x\n  What to do:\n    - do this\n\n  write        FAIL  y\n\n"
        );
    }

    #[test]
    fn advice_is_broken_at_spaces_and_long_words_stay_whole() {
        assert_eq!(wrapped("aa bb cc", 5), ["aa bb", "cc"]);
        assert_eq!(wrapped("aaaaaaaa bb", 5), ["aaaaaaaa", "bb"]);
        assert_eq!(wrapped("", 5), [""]);
    }

    #[test]
    fn foreign_words_cannot_steer_a_terminal_and_carry_no_token() {
        assert_eq!(words(b"a\x1b[31m\r\nb\tc "), "a [31m b c");
        assert_eq!(words(&[b'x'; 1000]).chars().count(), WORDS + 1);
        let echo = "{\"message\":\"The request signature we calculated does not match. The Canonical String for this request should have been\\n'POST\\nx-amz-security-token:SECRET\\n'\"}";
        let shown = words(echo.as_bytes());
        assert!(shown.contains("does not match") && !shown.contains("SECRET"), "{shown}");
    }
}
