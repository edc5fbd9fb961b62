//! The access matrix: which component may read and write which database, held by the compiler.
//!
//! The table is the original's ("databases and who uses them"). One macro makes the trait implementations and the
//! table that `docs/access-matrix.md` is compared with, so they cannot differ.
//!
//! A gateway that reads the registry does not compile:
//! ```compile_fail
//! use portcullis_database::{Apimgtdb, Handle, access::Gateway};
//! fn peek(handle: &Handle<Gateway>) { let _ = handle.view().read::<Apimgtdb>(); }
//! ```
//! A gateway that changes the registry does not compile:
//! ```compile_fail
//! use portcullis_database::{Caller, Handle, access::Gateway, command::DeleteApi};
//! async fn drop_api(handle: &Handle<Gateway>, command: DeleteApi) {
//!     let _ = handle.submit(command, &Caller::system()).await;
//! }
//! ```
//! A key manager that reads the registry outside multi-tenancy does not compile:
//! ```compile_fail
//! use portcullis_database::{Handle, Regdb, access::KeyManager};
//! fn peek(handle: &Handle<KeyManager>) { let _ = handle.view().read::<Regdb>(); }
//! ```
//! And what the matrix allows does:
//! ```
//! use portcullis_database::{Apimgtdb, Handle, access::KeyManager};
//! fn clients(handle: &Handle<KeyManager>) -> usize { handle.view().read::<Apimgtdb>().clients.len() }
//! ```

use std::marker::PhantomData;

use crate::state::{Apimgtdb, Database, Regdb, Statdb, Userdb};

/// A component of the system: the type parameter of its [`crate::Handle`].
pub trait Component: Send + Sync + 'static {
    /// Its name in the matrix.
    const NAME: &'static str;
}

/// Says that component `Self` may read database `D`.
#[diagnostic::on_unimplemented(
    message = "component `{Self}` may not read database `{D}`",
    note = "the access matrix is in src/database/access.rs and docs/access-matrix.md"
)]
pub trait Reads<D: Database>: Component {}

/// Says that component `Self` may write database `D`.
#[diagnostic::on_unimplemented(
    message = "component `{Self}` may not write database `{D}`",
    note = "the access matrix is in src/database/access.rs and docs/access-matrix.md"
)]
pub trait Writes<D: Database>: Reads<D> {}

/// Says that component `Self` may read database `D` where there is more than one tenant.
#[diagnostic::on_unimplemented(
    message = "component `{Self}` may not read database `{D}`, not even in multi-tenancy",
    note = "the access matrix is in src/database/access.rs and docs/access-matrix.md"
)]
pub trait ReadsInTenancy<D: Database>: Component {}

/// Proof that the node serves more than one tenant, without which [`ReadsInTenancy`] opens nothing. Only
/// [`crate::StateCell`] makes one.
#[derive(Debug)]
pub struct Tenancy<C>(pub(crate) PhantomData<C>);

/// One cell of the matrix, for documents and checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// The component.
    pub component: &'static str,
    /// The database.
    pub database: &'static str,
    /// `read`, `read, write`, or `in multi-tenancy: read`.
    pub access: &'static str,
}

macro_rules! matrix {
    ($($(#[$doc:meta])* $component:ident ($name:literal) { $($database:ident : $access:tt),* $(,)? })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug)]
            pub enum $component {}

            impl Component for $component {
                const NAME: &'static str = $name;
            }
            $(matrix!(@grant $component $database $access);)*
        )*

        /// The matrix as data, in the order of the original's table.
        pub const MATRIX: &[Access] = &[$($(Access {
            component: $name,
            database: <$database as Database>::NAME,
            access: matrix!(@text $access),
        },)*)*];
    };
    (@grant $component:ident $database:ident read) => { impl Reads<$database> for $component {} };
    (@grant $component:ident $database:ident write) => {
        impl Reads<$database> for $component {}
        impl Writes<$database> for $component {}
    };
    (@grant $component:ident $database:ident tenancy) => { impl ReadsInTenancy<$database> for $component {} };
    (@text read) => { "read" };
    (@text write) => { "read, write" };
    (@text tenancy) => { "in multi-tenancy: read" };
}

matrix! {
    /// Designs, documents, versions and publishes APIs.
    Publisher ("Publisher") { Apimgtdb: write, Userdb: write, Regdb: write, Statdb: read }
    /// Where developers find APIs, subscribe and get keys.
    Store ("Store") { Apimgtdb: write, Userdb: write, Regdb: write, Statdb: read }
    /// Issues and validates tokens and keys.
    KeyManager ("Key Manager") { Apimgtdb: write, Userdb: write, Regdb: tenancy }
    /// Carries API calls. It serves from the deployed projection and has no apimgtdb.
    Gateway ("Gateway") { Userdb: tenancy, Regdb: tenancy }
    /// Counts and limits. It writes the counters; of the databases it has only its own message store, mbstoredb.
    TrafficManager ("Traffic Manager") {}
    /// Keeps statistics.
    Analytics ("Analytics") { Statdb: write }
    /// Policies, tenants, users, cluster control.
    Admin ("Admin") { Apimgtdb: write, Userdb: write, Regdb: write, Statdb: read }
}

/// The cluster itself: membership, bootstrap, certificates. Not a component of the original's matrix; it seeds all
/// databases once, at bootstrap.
#[derive(Debug)]
pub enum Cluster {}

impl Component for Cluster {
    const NAME: &'static str = "Cluster";
}
