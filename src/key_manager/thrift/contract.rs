//! The original's services: names of methods and numbers of fields (`keymgt.thrift`, and the sign-in of its Thrift
//! authentication service). Numbers from 100 on are this cluster's own.

/// Signs a user in: name, password; answers a session id.
pub(super) const AUTHENTICATE: &str = "authenticate";
/// Says what a key is good for.
pub(super) const VALIDATE_KEY: &str = "validateKey";
/// The same for a WebSocket's handshake.
pub(super) const VALIDATE_HANDSHAKE: &str = "validateKeyforHandshake";
/// Lists what can be called of an API.
pub(super) const URI_TEMPLATES: &str = "getAllURITemplates";

/// What is answered, in the struct around it.
pub(super) const SUCCESS: i16 = 0;
/// `APIKeyMgtException` there; `AuthenticationException` of the sign-in.
pub(super) const KEY_MGT_EXCEPTION: i16 = 1;
/// `APIManagementException` there.
pub(super) const MANAGEMENT_EXCEPTION: i16 = 2;
/// The text of an exception, and of Thrift's own `TApplicationException`.
pub(super) const EXCEPTION_MESSAGE: i16 = 1;
/// The kind of a `TApplicationException`.
pub(super) const EXCEPTION_KIND: i16 = 2;
/// `UNKNOWN_METHOD`.
pub(super) const UNKNOWN_METHOD: i32 = 1;
/// `PROTOCOL_ERROR`.
pub(super) const PROTOCOL_ERROR: i32 = 7;

/// Parameters of [`AUTHENTICATE`].
pub(super) mod sign_in {
    pub const USERNAME: i16 = 1;
    pub const PASSWORD: i16 = 2;
}

/// Parameters of the three others. Those of [`URI_TEMPLATES`](super::URI_TEMPLATES) have the session id third.
pub(super) mod question {
    pub const CONTEXT: i16 = 1;
    pub const VERSION: i16 = 2;
    pub const ACCESS_TOKEN: i16 = 3;
    pub const SESSION: i16 = 4;
    pub const LEVEL: i16 = 5;
    pub const RESOURCE: i16 = 7;
    pub const VERB: i16 = 8;
    pub const SESSION_OF_TEMPLATES: i16 = 3;
    /// What kind of key it is: `ApiKey` or `Password`, where it is no token.
    pub const KIND: i16 = 100;
    /// The password, where the key is a user's name.
    pub const USER_PASSWORD: i16 = 101;
    /// Whether the backend is to be told who calls.
    pub const WANTS_ASSERTION: i16 = 102;
    /// What the asking node has applied: the other answers once it has applied that too.
    pub const MIN_INDEX: i16 = 103;
    /// The address of the caller.
    pub const ORIGIN: i16 = 104;
    /// The id of the call for which it is asked.
    pub const REQUEST_ID: i16 = 105;
}

/// `APIKeyValidationInfoDTO`.
pub(super) mod info {
    pub const AUTHORIZED: i16 = 1;
    pub const SUBSCRIBER: i16 = 2;
    pub const TIER: i16 = 3;
    pub const TYPE: i16 = 4;
    pub const END_USER_TOKEN: i16 = 5;
    pub const END_USER: i16 = 6;
    pub const APPLICATION_NAME: i16 = 7;
    pub const STATUS: i16 = 8;
    pub const APPLICATION_ID: i16 = 9;
    pub const APPLICATION_TIER: i16 = 10;
    pub const API_NAME: i16 = 11;
    pub const CONSUMER_KEY: i16 = 12;
    pub const API_PUBLISHER: i16 = 13;
    pub const SCOPES: i16 = 15;
    pub const VALIDITY_PERIOD: i16 = 16;
    pub const ISSUED_TIME: i16 = 17;
    pub const IS_CONTENT_AWARE: i16 = 18;
    pub const API_TIER: i16 = 19;
    pub const THROTTLING_DATA: i16 = 20;
    pub const SPIKE_ARREST_LIMIT: i16 = 21;
    pub const SUBSCRIBER_TENANT: i16 = 22;
    pub const SPIKE_ARREST_UNIT: i16 = 23;
    pub const STOPS_ON_QUOTA: i16 = 24;
    /// The whole verdict, as JSON, for nodes of the cluster.
    pub const VERDICT: i16 = 100;
}

/// `URITemplate`.
pub(super) mod template {
    pub const URI_TEMPLATE: i16 = 1;
    pub const HTTP_VERB: i16 = 4;
    pub const AUTH_TYPE: i16 = 5;
    pub const THROTTLING_TIER: i16 = 6;
    pub const THROTTLING_CONDITIONS: i16 = 7;
    pub const APPLICABLE_LEVEL: i16 = 8;
}
