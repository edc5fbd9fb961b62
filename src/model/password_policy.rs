//! What a new password must be like.

/// What a new password must be like. Passwords that are there already are not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordPolicy {
    /// Characters at least.
    pub min_chars: usize,
    /// How many of the four kinds it must have at least: small letters, capital letters, digits, others.
    pub min_kinds: usize,
    /// Whether it may be, or contain, the user's name.
    pub may_have_name: bool,
}

impl PasswordPolicy {
    /// Characters at most: hashing longer ones would only burn time.
    pub const CHARS_MAX: usize = 256;
    /// No policy: any password, as a throw-away node has it.
    pub const OFF: Self = Self { min_chars: 1, min_kinds: 0, may_have_name: true };

    /// Checks a new password.
    ///
    /// # Errors
    /// What it must be, for whoever chose it.
    pub fn check(&self, username: &str, password: &str) -> Result<(), String> {
        let count = password.chars().count();
        if count < self.min_chars || count > Self::CHARS_MAX {
            return Err(format!("must be {} to {} characters", self.min_chars, Self::CHARS_MAX));
        }
        if password.contains(char::is_control) {
            return Err("must not have control characters".to_owned());
        }
        let kinds: [fn(char) -> bool; 4] =
            [char::is_lowercase, char::is_uppercase, char::is_numeric, |one| !one.is_alphanumeric()];
        if kinds.iter().filter(|is_kind| password.contains(**is_kind)).count() < self.min_kinds {
            return Err(format!(
                "must have {} of: small letters, capital letters, digits, other characters",
                self.min_kinds
            ));
        }
        let is_named = !username.is_empty() && password.to_lowercase().contains(&username.to_lowercase());
        if is_named && !self.may_have_name {
            return Err("must not have the user's name in it".to_owned());
        }
        Ok(())
    }
}

impl Default for PasswordPolicy {
    /// Eight characters, whatever they are (NIST SP 800-63B, section 5.1.1.2), but not the user's name.
    fn default() -> Self {
        Self { min_chars: 8, min_kinds: 0, may_have_name: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_refused_with_what_it_lacks() {
        let policy = PasswordPolicy { min_chars: 8, min_kinds: 3, may_have_name: false };
        assert!(policy.check("anna", "short").unwrap_err().contains("8 to 256"));
        assert!(policy.check("anna", "onlysmallletters").unwrap_err().contains("3 of"));
        assert!(policy.check("anna", "1Anna-xyz").unwrap_err().contains("name"));
        assert!(policy.check("anna", "line\nBreak1").unwrap_err().contains("control"));
        assert!(policy.check("anna", &"aA1".repeat(100)).is_err());
        assert_eq!(policy.check("anna", "Correct horse"), Ok(()));
        assert_eq!(PasswordPolicy::OFF.check("admin", "admin"), Ok(()));
    }
}
