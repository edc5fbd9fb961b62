//! Documents and pictures that belong to APIs.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{ApiId, DocumentId};
use crate::time::Timestamp;
use crate::user::{Principal, Username};

/// Characters of a document's name (the contract's).
pub const DOCUMENT_NAME_CHARS_MAX: usize = 255;
/// Characters of a summary (the contract's).
pub const DOCUMENT_SUMMARY_CHARS_MAX: usize = 32_766;
/// Characters of an address, and of a file's name.
pub const DOCUMENT_ADDRESS_CHARS_MAX: usize = 2_048;
/// Documents of one API.
pub const DOCUMENTS_PER_API_MAX: usize = 200;
/// Bytes of one document's content.
pub const DOCUMENT_BYTES_MAX: usize = 10 << 20;
/// Bytes of the contents of all documents of one API.
pub const DOCUMENTS_BYTES_PER_API_MAX: usize = 100 << 20;
/// Bytes of an API's picture.
pub const THUMBNAIL_BYTES_MAX: usize = 1 << 20;
/// Characters of a media type (RFC 6838, section 4.2: twice 127, and a slash).
pub const MEDIA_TYPE_CHARS_MAX: usize = 255;

/// Declares an enum whose values have names in the REST contracts.
macro_rules! contract_words {
    ($(#[$doc:meta])* $name:ident { $($(#[$one_doc:meta])* $one:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$one_doc])* $one,)*
        }

        impl $name {
            /// All of them, with their names in the REST contracts.
            pub const WORDS: &[(&str, Self)] = &[$(($word, Self::$one)),*];

            /// The name in the REST contracts.
            #[must_use]
            pub fn as_contract(self) -> &'static str {
                match self {
                    $(Self::$one => $word,)*
                }
            }
        }
    };
}

contract_words! {
    /// What a document is about.
    DocumentKind {
        /// How something is done.
        HowTo = "HOWTO",
        /// Samples and client libraries.
        Samples = "SAMPLES",
        /// A forum for everybody.
        PublicForum = "PUBLIC_FORUM",
        /// A forum for those who have support.
        SupportForum = "SUPPORT_FORUM",
        /// The form of messages.
        MessageFormat = "API_MESSAGE_FORMAT",
        /// A Swagger document.
        Swagger = "SWAGGER_DOC",
        /// Something else, which has a name of its own.
        Other = "OTHER",
    }
}

contract_words! {
    /// Where a document's content is.
    DocumentSource {
        /// In the registry, HTML or plain text.
        Inline = "INLINE",
        /// In the registry, Markdown.
        Markdown = "MARKDOWN",
        /// At an address elsewhere.
        Url = "URL",
        /// In the registry, a file.
        File = "FILE",
    }
}

contract_words! {
    /// Who sees a document in the Store.
    DocumentVisibility {
        /// Whoever wrote it.
        OwnerOnly = "OWNER_ONLY",
        /// Those of the API's tenant who signed in.
        Private = "PRIVATE",
        /// Whoever sees the API.
        ApiLevel = "API_LEVEL",
    }
}

/// A document of an API, without its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// The id.
    pub id: DocumentId,
    /// The API.
    pub api: ApiId,
    /// The name, unique among the API's.
    pub name: String,
    /// What it says.
    pub summary: String,
    /// What it is about.
    pub kind: DocumentKind,
    /// What it is about, where that is something else.
    pub other_kind: String,
    /// Where its content is.
    pub source: DocumentSource,
    /// The address, where that is elsewhere.
    pub source_url: String,
    /// The file's name, where it is a file.
    pub file_name: String,
    /// Who sees it in the Store.
    pub visibility: DocumentVisibility,
    /// Who wrote it.
    pub created_by: Username,
    /// When it was created.
    pub created_at: Timestamp,
    /// Who changed it last.
    pub updated_by: Username,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Document {
    /// Says whether somebody who sees the API in the Store, which is of the tenant `is_of_tenant` speaks of, sees the
    /// document too.
    #[must_use]
    pub fn is_seen_by(&self, user: Option<&Principal>, is_of_tenant: bool) -> bool {
        match self.visibility {
            DocumentVisibility::ApiLevel => true,
            DocumentVisibility::Private => is_of_tenant,
            DocumentVisibility::OwnerOnly => is_of_tenant && user.is_some_and(|user| user.username == self.created_by),
        }
    }
}

/// A document's content, or a picture.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// The media type.
    pub media_type: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({}, {} bytes)", self.media_type, self.bytes.len())
    }
}
