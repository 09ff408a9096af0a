//! Rust text taken apart into code and string literals; comments are dropped.

pub(crate) struct Lexed {
    /// The code; each literal has become `""`.
    pub(crate) code: String,
    pub(crate) strings: Vec<String>,
}

impl Lexed {
    pub(crate) fn of(text: &str) -> Self {
        let mut lexed = Self { code: String::new(), strings: Vec::new() };
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let taken = lexed.take(rest, first);
            rest = &rest[taken..];
        }
        lexed
    }

    /// Takes one comment, literal or character from the start of `rest` and tells its length in bytes.
    fn take(&mut self, rest: &str, first: char) -> usize {
        if rest.starts_with("//") {
            return rest.find('\n').unwrap_or(rest.len());
        }
        if let Some(comment) = rest.strip_prefix("/*") {
            return comment.find("*/").map_or(rest.len(), |end| end + 4);
        }
        let follows_a_word = self.code.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        if let Some(raw) = raw_string(rest).filter(|_| !follows_a_word) {
            return self.push(raw.0, raw.1);
        }
        if first == '"' {
            let length = plain_string(rest);
            return self.push(&rest[1..length.max(2) - 1], length);
        }
        if let Some(length) = character(rest) {
            self.code.push_str("' '");
            return length;
        }
        self.code.push(first);
        first.len_utf8()
    }

    fn push(&mut self, content: &str, length: usize) -> usize {
        self.code.push_str("\"\"");
        self.strings.push(content.to_owned());
        length
    }
}

/// Content and length of `r"…"` or `r#"…"#`.
fn raw_string(rest: &str) -> Option<(&str, usize)> {
    let after = rest.strip_prefix('r')?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let content = after[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let end = content.find(&close)?;
    Some((&content[..end], 1 + hashes + 1 + end + close.len()))
}

fn plain_string(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// `'x'` or `'\n'`, but not the lifetime `'x`.
fn character(rest: &str) -> Option<usize> {
    let inner = rest.strip_prefix('\'')?;
    if let Some(escape) = inner.strip_prefix('\\') {
        let skip = escape.chars().next()?.len_utf8();
        return Some(2 + skip + escape[skip..].find('\'')? + 1);
    }
    let c = inner.chars().next()?;
    inner[c.len_utf8()..].starts_with('\'').then(|| 2 + c.len_utf8())
}

#[test]
fn code_strings_and_comments_are_told_apart() {
    let lexed = Lexed::of(
        "let a = \"x // \\\" y\"; // gone \"too\"\nlet b: &'a str = r#\"raw \" text\"#; /* gone */ let c = '\"'; for_r\"z\"",
    );
    assert_eq!(lexed.strings, ["x // \\\" y", "raw \" text", "z"]);
    assert_eq!(lexed.code, "let a = \"\"; \nlet b: &'a str = \"\";  let c = ' '; for_r\"\"");
}
