//! Regular expressions of rules: those of `pattern`, of `casing` and of conditions in paths, so many and so large in a
//! ruleset.

use regex::{Regex, RegexBuilder};

/// Regular expressions of one ruleset.
const EXPRESSIONS_MAX: usize = 200;
/// Characters of one.
const CHARS_MAX: usize = 2_000;
/// Bytes that one may take when it is compiled. Two classes such as `\w`, which is of all of Unicode, fit.
pub(super) const COMPILED_BYTES_MAX: usize = 128 << 10;
/// Bytes that a search may remember.
const REMEMBERED_BYTES_MAX: usize = 256 << 10;

/// Reads the regular expressions of a ruleset and counts them.
#[derive(Debug, Default)]
pub(super) struct Expressions {
    pub(super) count: usize,
}

impl Expressions {
    /// Reads one as rules write it: `/…/i`, or without slashes.
    pub(super) fn read(&mut self, text: &str) -> Result<Regex, String> {
        let slashed = text.strip_prefix('/').and_then(|inner| inner.rsplit_once('/'));
        let (pattern, flags) =
            slashed.filter(|(_, flags)| flags.chars().all(|flag| "gimsuy".contains(flag))).unwrap_or((text, ""));
        self.compile(pattern, flags)
    }

    /// Compiles one.
    pub(super) fn compile(&mut self, pattern: &str, flags: &str) -> Result<Regex, String> {
        if self.count >= EXPRESSIONS_MAX {
            return Err(format!(
                "is one regular expression (of pattern, casing or .match) too many: a ruleset may have {EXPRESSIONS_MAX}"
            ));
        }
        self.count += 1;
        let chars = pattern.chars().count();
        if chars > CHARS_MAX {
            return Err(format!(
                "has a regular expression of {chars} characters; at most {CHARS_MAX} are accepted: split the rule"
            ));
        }
        let mut builder = RegexBuilder::new(pattern);
        builder.case_insensitive(flags.contains('i')).multi_line(flags.contains('m'));
        builder.size_limit(COMPILED_BYTES_MAX).dfa_size_limit(REMEMBERED_BYTES_MAX);
        builder.build().map_err(|error| format!("{pattern} is not a regular expression that is served: {error}"))
    }
}
