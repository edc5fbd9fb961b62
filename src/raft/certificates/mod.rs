//! The node's certificates: what is in force, its renewal before it ends, and the rotation of the authority. Signing
//! itself is [`crate::authority`]; what TLS makes of it is [`crate::transport`].

mod control;
mod files;
mod held;
mod keeper;
mod offline;
mod parsed;
mod signing;
#[cfg(test)]
mod tests;

pub use self::held::Held;
pub use self::offline::{Renewed, renew_offline};

pub(crate) use self::files::{AUTHORITIES, CERTIFICATE, KEY, read};
pub(crate) use self::held::Certificates;
pub(crate) use self::keeper::keep;
pub(crate) use self::parsed::{Parsed, utc};
pub(crate) use self::signing::{Authorities, certificate_record};
