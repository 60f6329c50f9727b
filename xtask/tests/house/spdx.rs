//! Licence expressions, as far as crates use them: names joined by OR, AND and parentheses.
//!
//! Source: the SPDX specification, annex "SPDX license expressions": AND binds tighter than OR, WITH tighter than both.

/// Whether someone who accepts these licences may use what is offered under `expression`.
pub(crate) fn accepted(expression: &str, licences: &[String]) -> bool {
    // Old crates write `MIT/Apache-2.0`, which meant OR.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = Reader { words: &words, licences, broken: false };
    let verdict = reader.any();
    // What is left over was not understood, and what is not understood is not accepted.
    verdict && !reader.broken && reader.words.is_empty()
}

struct Reader<'a> {
    words: &'a [&'a str],
    licences: &'a [String],
    /// A name or a parenthesis is missing somewhere.
    broken: bool,
}

impl Reader<'_> {
    fn any(&mut self) -> bool {
        let mut verdict = self.all();
        while self.take("OR") {
            verdict |= self.all();
        }
        verdict
    }

    fn all(&mut self) -> bool {
        let mut verdict = self.one();
        while self.take("AND") {
            verdict &= self.one();
        }
        verdict
    }

    fn one(&mut self) -> bool {
        if self.take("(") {
            let verdict = self.any();
            self.broken |= !self.take(")");
            return verdict;
        }
        let mut name = self.name();
        if self.take("WITH") {
            name = format!("{name} WITH {}", self.name());
        }
        self.licences.contains(&name)
    }

    fn name(&mut self) -> String {
        let Some((first, rest)) = self.words.split_first() else {
            self.broken = true;
            return String::new();
        };
        self.words = rest;
        (*first).to_owned()
    }

    fn take(&mut self, word: &str) -> bool {
        match self.words.split_first() {
            Some((first, rest)) if *first == word => {
                self.words = rest;
                true
            }
            _ => false,
        }
    }
}

#[test]
fn an_expression_is_accepted_when_one_way_through_it_is() {
    let mine = ["MIT", "Unicode-3.0", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned);
    for yes in [
        "MIT",
        "GPL-3.0 OR MIT",
        "GPL-3.0/MIT",
        "(MIT OR Apache-2.0) AND Unicode-3.0",
        "GPL-3.0 AND ISC OR MIT",
        "Apache-2.0 WITH LLVM-exception",
    ] {
        assert!(accepted(yes, &mine), "{yes}");
    }
    for no in
        ["GPL-3.0", "MIT AND GPL-3.0", "MIT OR", "(MIT", "MIT GPL-3.0", "", "Apache-2.0", "MIT AND (ISC OR GPL-3.0)"]
    {
        assert!(!accepted(no, &mine), "{no}");
    }
}
