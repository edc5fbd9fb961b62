//! What the Publisher can be asked about definitions in other languages than OpenAPI.

use actix::Message;
use portcullis_model::mediation::own_answer::SequenceBackend;
use portcullis_model::{KeyType, Timestamp};
use serde_json::{Map, Value};

use super::{ApiView, Asker, Seen, Written};
use crate::design::Design;
use crate::fault::PublisherError;

messages! {
    /// Creates an API from a document that was read.
    ImportDesign {
        /// What the document says.
        design: Design,
        /// Fields of the REST contract that go before what the document says.
        fields: Map<String, Value>,
    } -> Written<ApiView>;
    /// Replaces an API's definition, and its operations with it.
    PutDesign {
        /// The API.
        id: String,
        /// What the new document says.
        design: Design,
        /// When the API that the caller saw was last changed, if the caller insists on that one.
        expected: Option<Timestamp>,
    } -> Written<ApiView>;
    /// Replaces the topics of an API.
    PutTopics {
        /// The API.
        id: String,
        /// The fields of the REST contract.
        fields: Map<String, Value>,
        /// When the API that the caller saw was last changed, if the caller insists on that one.
        expected: Option<Timestamp>,
    } -> Written<ApiView>;
    /// Says what the fields of an API of GraphQL cost.
    PutFieldCosts {
        /// The API.
        id: String,
        /// The fields of the REST contract.
        fields: Map<String, Value>,
    } -> Written<ApiView>;
    /// Writes the scripts of an API's mocks out of its examples, into its definition.
    GenerateMocks {
        /// The API.
        api: String,
    } -> Written<ApiView>;
    /// Returns the scripts that an API's examples make: path, verb and content of each.
    GetMocks {
        /// The API, or a revision of it.
        api: String,
    } -> Seen<Vec<(String, String, String)>>;
    /// Returns the sequences of an API, or of a revision of it, that answer in the place of backends.
    ListSequences {
        /// The API.
        api: String,
    } -> Seen<Vec<SequenceBackend>>;
    /// Has a sequence answer in the place of an API's backends.
    PutSequence {
        /// The API.
        api: String,
        /// For which keys.
        stage: KeyType,
        /// The sequence, in Synapse's language.
        content: String,
    } -> Written<ApiView>;
    /// Takes a sequence away.
    DeleteSequence {
        /// The API.
        api: String,
        /// For which keys.
        stage: KeyType,
    } -> Written<()>;
    /// Returns an API, or a revision of one, with the types of its schema and their fields.
    GetSchemaTypes {
        /// The id of either.
        id: String,
    } -> Seen<Vec<(String, Vec<String>)>>;
}
