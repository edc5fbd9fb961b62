//! Identifiers: one type per noun, so that two ids can never be mixed up. Ids are chosen by whoever proposes a
//! command, never by the state machine.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

macro_rules! uuid_ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Makes an id from 16 random bytes, as a version 4 UUID (RFC 9562), the form the original's clients expect.
            #[must_use]
            pub fn from_random(bytes: [u8; 16]) -> Self {
                Self(uuid::Builder::from_random_bytes(bytes).into_uuid())
            }

            /// Makes the id of something that was made before it had one: always the same for the same names.
            #[must_use]
            pub fn of_names(names: &[&str]) -> Self {
                let mut digest = Sha256::new();
                for name in names {
                    digest.update((name.len() as u64).to_be_bytes());
                    digest.update(name.as_bytes());
                }
                let mut bytes = [0; 16];
                bytes.copy_from_slice(&digest.finalize()[..16]);
                Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::from_str(text).map(Self)
            }
        }
    )*};
}

uuid_ids! {
    /// An API (one version of it: `name` + `version` + `provider`).
    ApiId,
    /// An immutable revision of an API.
    RevisionId,
    /// An application of the Store.
    ApplicationId,
    /// A subscription of an application to an API.
    SubscriptionId,
    /// A throttling policy.
    PolicyId,
    /// The pair of an application and an OAuth client for one key type.
    KeyMappingId,
    /// An API key.
    ApiKeyId,
    /// A key manager beside the cluster's own.
    KeyManagerId,
    /// A server at which users sign in.
    IdentityProviderId,
    /// A key that signs tokens; its text is the `kid` of the JWKS.
    SigningKeyId,
    /// A user as SCIM names it: stays when the user is renamed, and is never given to another.
    UserId,
    /// A role as SCIM names it.
    RoleId,
    /// A tenant as the tenant management names it.
    TenantId,
    /// A scope that APIs share.
    ScopeId,
    /// A further secret of an OAuth client.
    ClientSecretId,
    /// A document of an API.
    DocumentId,
    /// A comment on an API.
    CommentId,
    /// What a user thinks of an API.
    RatingId,
    /// A category or a label.
    HeadingId,
    /// Something that waits for a decision.
    TaskId,
    /// A gateway environment.
    EnvironmentId,
    /// Something that a tenant keeps besides APIs.
    AssetId,
}

/// A node of the cluster. Numbers come from the log and are never used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for NodeId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// An OAuth 2 client id, which the original calls consumer key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClientId(pub String);

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
