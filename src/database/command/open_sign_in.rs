use std::sync::Arc;

use portcullis_model::authorization::SignIn;
use portcullis_model::limit::SIGN_INS_MAX;
use portcullis_model::{Refused, TokenDigest};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::state::{Apimgtdb, State};

/// Notes that a user signed in in a browser.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OpenSignIn {
    /// The digest of what the browser's cookie holds.
    pub digest: TokenDigest,
    /// The sign-in.
    pub sign_in: SignIn,
}

impl<C: Component> SubmittedBy<C> for OpenSignIn where C: Writes<Apimgtdb> {}

impl Command for OpenSignIn {
    type Reply = ();

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<(), Refused> {
        let tables = &mut state.apimgt;
        if tables.sign_ins.len() >= SIGN_INS_MAX {
            return Err(Refused::LimitReached { what: "sign-ins".to_owned(), max: SIGN_INS_MAX as u64 });
        }
        if tables.sign_ins.contains_key(&self.digest) {
            return Err(Refused::exists("sign-in", "with this digest"));
        }
        tables.sign_in_ends.insert((self.sign_in.expires_at, self.digest), ());
        tables.sign_ins.insert(self.digest, Arc::new(self.sign_in));
        Ok(())
    }
}
