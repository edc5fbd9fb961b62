//! The messages of the pages: authorization, sign in and out. REST and pages are thin faces over them.

use std::fmt;
use std::net::IpAddr;

use actix::Message;
use http::StatusCode;

use crate::oauth_error::OauthError;
use crate::parameters::Parameters;

/// What a browser's cookie holds. Not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Cookie(pub String);

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cookie(…)")
    }
}

/// Asks to authorize a client (RFC 6749, section 4.1.1).
#[derive(Message)]
#[rtype(result = "AuthorizationStep")]
pub struct Authorize {
    /// The parameters.
    pub parameters: Parameters,
    /// The browser's sign-in, if it shows one.
    pub sign_in: Option<Cookie>,
    /// What the user said on the page that asked; `None` where he was not asked yet.
    pub decision: Option<Decision>,
}

/// What a user said to a client's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Yes.
    Allowed {
        /// Whether he wants to be asked again.
        is_remembered: bool,
    },
    /// No.
    Denied,
}

/// What is to happen next with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthorizationStep {
    /// The browser is sent to this address.
    GoTo(String),
    /// The user is to sign in.
    SignIn {
        /// The client's name.
        client: String,
        /// Who is expected.
        username: String,
        /// Why the user that is signed in will not do.
        error: Option<String>,
        /// The request to go on with afterwards.
        to: String,
        /// Where it leads to in the end.
        form_target: Option<String>,
    },
    /// The user is to be asked.
    Ask {
        /// The client's name.
        client: String,
        /// Who is signed in.
        user: String,
        /// What the client wants.
        scopes: Vec<String>,
        /// Where the user is sent back to.
        destination: String,
        /// The request to go on with afterwards.
        to: String,
        /// Where it leads to in the end.
        form_target: Option<String>,
    },
    /// The user is told what is wrong: there is nowhere to send him.
    Tell {
        /// The status.
        status: StatusCode,
        /// What is wrong.
        message: String,
    },
}

/// Signs a user in in a browser.
#[derive(Message)]
#[rtype(result = "Result<Cookie, SignInRefusal>")]
pub struct SignInBrowser {
    /// The name, with `@tenant` where it is not the first.
    pub username: String,
    /// The password.
    pub password: String,
    /// The address of the browser.
    pub origin: Option<IpAddr>,
}

/// Why a user was not signed in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignInRefusal {
    /// The name or the password is wrong.
    #[error("The user name or the password is not right.")]
    Wrong,
    /// It could not be checked.
    #[error("Too many sign-ins failed or wait. Try again in a minute.")]
    NotNow,
    /// The sign-in could not be kept.
    #[error(transparent)]
    Failed(#[from] OauthError),
}

/// Signs a user out (OpenID Connect RP-Initiated Logout).
#[derive(Message)]
#[rtype(result = "Result<SignOutStep, OauthError>")]
pub struct SignOut {
    /// The parameters.
    pub parameters: Parameters,
    /// The browser's sign-in, if it shows one.
    pub sign_in: Option<Cookie>,
    /// Whether the user said yes on the page that asks.
    pub is_confirmed: bool,
}

/// What is to happen next with a sign-out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignOutStep {
    /// The user is to be asked: somebody else's page may have sent him.
    Ask {
        /// Who is signed in.
        user: String,
        /// The request to go on with afterwards.
        to: String,
        /// Where it leads to in the end.
        form_target: Option<String>,
    },
    /// The user is signed out, and sent to an address or told.
    Done(Option<String>),
}
