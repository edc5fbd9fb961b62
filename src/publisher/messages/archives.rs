//! What the Publisher can be asked about archives.

use actix::Message;

use super::{ApiView, Asker, Seen, Written};
use crate::archive::ArchiveFormat;
use crate::fault::PublisherError;

/// What came of an import of an API.
#[derive(Debug)]
pub struct ImportedApi {
    /// The API; `None` where the archive was only checked.
    pub view: Option<ApiView>,
    /// Files of the archive that were not read.
    pub left_out: Vec<String>,
}

messages! {
    /// Returns an API as an archive, with the name of its file.
    ExportApi {
        /// The API, or a revision of one; `None` where it is named.
        id: Option<String>,
        /// Its name.
        name: String,
        /// Its version.
        version: String,
        /// How the files are written.
        format: ArchiveFormat,
        /// Whether it is to be brought to the same state of its life.
        keeps_status: bool,
        /// Whether it is meant as it was in its latest revision.
        is_latest_revision: bool,
        /// Whether the archive holds what only those are shown who may read the API whole: the secret of WEBSUB.
        shows_secrets: bool,
    } -> Seen<(String, Vec<u8>)>;
    /// Imports an API from an archive.
    ImportApi {
        /// The zip file.
        archive: Vec<u8>,
        /// Whether an API of the same name and version is changed.
        overwrites: bool,
        /// Whether the oldest revision goes where there are as many as there may be.
        rotates_revisions: bool,
        /// Whether the provider that the archive names is kept.
        keeps_provider: bool,
        /// Whether the archive is only read and checked.
        is_dry_run: bool,
    } -> Written<ImportedApi>;
    /// Returns an API product with the APIs that it is made of as an archive, with the name of its file.
    ExportProduct {
        /// Its name.
        name: String,
        /// Its version.
        version: String,
        /// The revision that is meant, by its number.
        revision: Option<u32>,
        /// How the files are written.
        format: ArchiveFormat,
        /// Whether it is to be brought to the same state of its life.
        keeps_status: bool,
        /// Whether it is meant as it was in its latest revision.
        is_latest_revision: bool,
    } -> Seen<(String, Vec<u8>)>;
    /// Imports an API product from an archive; returns the files that were not read.
    ImportProduct {
        /// The zip file.
        archive: Vec<u8>,
        /// Whether a product of the same name and version is changed.
        overwrites: bool,
        /// Whether the oldest revision goes where there are as many as there may be.
        rotates_revisions: bool,
        /// Whether the providers that the archive names are kept.
        keeps_provider: bool,
        /// Whether APIs that are not there are brought along.
        imports_apis: bool,
        /// Whether APIs that are there are changed.
        overwrites_apis: bool,
    } -> Written<Vec<String>>;
}
