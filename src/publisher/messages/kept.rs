//! What the Publisher can be asked about what tenants keep besides APIs, and about how APIs are judged by that.

use std::sync::Arc;

use actix::Message;
use portcullis_model::asset::{Asset, AssetKind};
use portcullis_model::{AssetId, Timestamp};

use super::{Asker, Seen, Written};
use crate::fault::PublisherError;
use crate::governance::judge::Judgement;

messages! {
    /// Returns what the tenant keeps of a kind, by name.
    ListAssets {
        /// Of which kind.
        kind: AssetKind,
        /// The API that they belong to; `None` for those of the whole tenant.
        api: Option<String>,
    } -> Seen<Vec<Arc<Asset>>>;
    /// Adds something that the tenant keeps, or replaces it.
    PutAsset {
        /// What it is.
        kind: AssetKind,
        /// Which one is replaced; `None` to add one.
        id: Option<AssetId>,
        /// The API that it belongs to.
        api: Option<String>,
        /// Its name.
        name: String,
        /// What is said of it, JSON.
        document: String,
        /// What it is made from.
        content: String,
        /// When the one that the caller saw was last changed, if the caller insists on that one.
        expected: Option<Timestamp>,
    } -> Written<Arc<Asset>>;
    /// Deletes something that the tenant keeps.
    DeleteAsset {
        /// What it is.
        kind: AssetKind,
        /// Which.
        id: AssetId,
        /// The API that it belongs to.
        api: Option<String>,
    } -> Written<()>;
    /// Returns the rules for the pages that write definitions, as the tenant's configuration has them.
    GetLinterRules {} -> Seen<Option<String>>;
    /// Finds out how far APIs keep to what governance says.
    JudgeApis {
        /// The one API that is meant.
        only: Option<String>,
        /// From where on, and how many; all of them where that is not said.
        part: Option<(usize, usize)>,
    } -> Seen<Judgement>;
}
