use portcullis_model::{Refused, TokenDigest};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::pending;
use crate::state::{Apimgtdb, State};

/// Ends a sign-in in a browser. No node takes the cookie when the answer comes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CloseSignIn {
    /// The digest of what the browser's cookie holds.
    pub digest: TokenDigest,
}

impl<C: Component> SubmittedBy<C> for CloseSignIn where C: Writes<Apimgtdb> {}

impl Command for CloseSignIn {
    /// Whether there was such a sign-in.
    type Reply = bool;
    const EVERYWHERE: bool = true;

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<bool, Refused> {
        Ok(pending::sign_out(state, &self.digest).is_some())
    }
}
