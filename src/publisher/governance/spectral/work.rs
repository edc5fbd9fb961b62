//! How much may be done to find out whether a document keeps to rules: a rule that asks for more is given up, so that no
//! rule keeps a node busy.

/// Steps that one rule may take in one document: places looked at, names looked up, conditions and functions tried.
pub(super) const RULE_STEPS_MAX: usize = 1_000_000;
/// Steps that all rules together may take for one request.
const REQUEST_STEPS_MAX: usize = 500_000_000;
/// Bytes of a text that are looked through in one step.
const STEP_BYTES: usize = 64;

/// What may still be done for a request.
#[derive(Debug)]
pub(crate) struct Work {
    rule: usize,
    request: usize,
}

/// More is asked for than may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooCostly;

impl Default for Work {
    fn default() -> Self {
        Self { rule: RULE_STEPS_MAX, request: REQUEST_STEPS_MAX }
    }
}

impl Work {
    /// Begins with the next rule.
    pub(super) fn begin_rule(&mut self) {
        self.rule = RULE_STEPS_MAX;
    }

    /// Takes steps.
    pub(super) fn spend(&mut self, steps: usize) -> Result<(), TooCostly> {
        self.rule = self.rule.checked_sub(steps).ok_or(TooCostly)?;
        self.request = self.request.checked_sub(steps).ok_or(TooCostly)?;
        Ok(())
    }

    /// Returns the steps that it takes to look through a text.
    pub(super) fn of_text(text: &str) -> usize {
        1 + text.len() / STEP_BYTES
    }
}
