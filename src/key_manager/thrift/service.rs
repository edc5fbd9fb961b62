//! Answers the calls of the two services.

use std::net::IpAddr;
use std::sync::Arc;

use portcullis_database::access::KeyManager as Access;
use portcullis_database::handle::{View, wall_clock};
use portcullis_database::{Apimgtdb, ClusterKey};
use portcullis_model::api::versioned_context;
use portcullis_model::port::{AuthenticationRefusal, KeyQuestion, KeyRefusal, KeyValidation, KeyVerdict, ShownKey};
use portcullis_model::{Api, NodeId, RequestId, TenantDomain, Timestamp};
use thrift::protocol::TMessageType;
use tracing::{Instrument as _, debug, info_span};

use super::codec::{Field, Fields, Message};
use super::contract::{
    AUTHENTICATE, EXCEPTION_KIND, EXCEPTION_MESSAGE, KEY_MGT_EXCEPTION, MANAGEMENT_EXCEPTION, SUCCESS, UNKNOWN_METHOD,
    URI_TEMPLATES, VALIDATE_HANDSHAKE, VALIDATE_KEY, question, sign_in,
};
use super::serving::Offered;
use super::session::{self, Holder};
use super::{Door, told};
use crate::authority::{Authority, active_user};

/// What the original's gateways put before the version where a call named none.
const DEFAULT_VERSION: &str = "_default_";

/// Answers calls by Thrift.
pub struct ThriftService {
    authority: Arc<Authority>,
    keys: Arc<dyn KeyValidation>,
    key: ClusterKey,
}

/// An exception of the service: its number in the answer, and what it says.
struct Thrown(i16, String);

impl Thrown {
    /// Somebody who is not signed in, or a node that does not answer now.
    fn refused(why: impl Into<String>) -> Self {
        Self(KEY_MGT_EXCEPTION, why.into())
    }

    /// Something that is not as it must be.
    fn wrong(why: impl Into<String>) -> Self {
        Self(MANAGEMENT_EXCEPTION, why.into())
    }
}

/// A question about a key.
struct Asked<'a> {
    context: &'a str,
    version: &'a str,
    shown: ShownKey<'a>,
    wants_assertion: bool,
    origin: Option<IpAddr>,
    asker: Option<NodeId>,
    tenant: Option<TenantDomain>,
}

impl ThriftService {
    pub(crate) fn new(authority: Arc<Authority>, keys: Arc<dyn KeyValidation>, key: ClusterKey) -> Self {
        Self { authority, keys, key }
    }

    /// Answers a call; `None` where none is expected.
    pub(super) async fn answer(
        &self,
        call: Message,
        offered: Offered,
        door: &dyn Door,
        origin: Option<IpAddr>,
    ) -> Option<Message> {
        let asked = &call.fields;
        let outcome = match (call.name.as_str(), offered) {
            (AUTHENTICATE, _) => self.sign_in(asked, origin).await,
            (VALIDATE_KEY | VALIDATE_HANDSHAKE, Offered::Validation) => self.validate_for(asked, door).await,
            (URI_TEMPLATES, Offered::Validation) => self.templates(asked, door).await,
            (other, _) => {
                let why = format!("there is no method {other} here");
                return Some(failure(&call, UNKNOWN_METHOD, &why));
            }
        };
        let fields = match outcome {
            Ok(answer) => Fields::default().with(SUCCESS, answer),
            Err(Thrown(number, why)) => {
                Fields::default().with(number, Field::Struct(Fields::default().with_text(EXCEPTION_MESSAGE, why)))
            }
        };
        let is_awaited = call.kind != TMessageType::OneWay;
        is_awaited.then_some(Message { name: call.name, kind: TMessageType::Reply, sequence: call.sequence, fields })
    }

    /// Begins a session for a user who may administer.
    async fn sign_in(&self, asked: &Fields, origin: Option<IpAddr>) -> Result<Field, Thrown> {
        let (Some(username), Some(password)) = (asked.text(sign_in::USERNAME), asked.text(sign_in::PASSWORD)) else {
            return Err(Thrown::refused("a user name (field 1) and a password (field 2) are needed"));
        };
        let refused = "the user name or the password is not valid, or the user may not administer";
        match self.authority.sign_in_from(username, password, origin).await {
            Ok(user) if self.authority.may_administer(&user) => {
                Ok(Field::Text(session::begin(&self.key, Holder::user(&user))))
            }
            Ok(_) | Err(AuthenticationRefusal::Invalid | AuthenticationRefusal::Expired) => {
                Err(Thrown::refused(refused))
            }
            Err(AuthenticationRefusal::Unavailable) => {
                Err(Thrown::refused("too many sign-ins failed or wait; try again in a moment"))
            }
        }
    }

    /// Lets a question in. Returns the node that asks, or the tenant of the user who does.
    async fn admit(
        &self,
        session: Option<&str>,
        min_index: Option<i64>,
        door: &dyn Door,
    ) -> Result<(Option<NodeId>, Option<TenantDomain>), Thrown> {
        let over = || Thrown::refused("the session is over or not valid; sign in again (authenticate)");
        let held = session.and_then(|id| session::holder(&self.key, id, wall_clock())).ok_or_else(over)?;
        let asker = held.node();
        let min_index = min_index.and_then(|index| u64::try_from(index).ok()).filter(|_| asker.is_some());
        door.admit(asker, min_index).await.map_err(Thrown::refused)?;
        let Holder::User { tenant, username, password } = held else { return Ok((asker, None)) };
        let user = active_user(&self.authority.handle.view(), &tenant, &username);
        let user = user.filter(|user| session::digest_of(user) == password && self.authority.may_administer(user));
        user.map(|user| (None, Some(user.tenant.clone()))).ok_or_else(over)
    }

    /// Judges a key for the call whose id the question names, if it does: what is logged meanwhile tells it.
    async fn validate_for(&self, asked: &Fields, door: &dyn Door) -> Result<Field, Thrown> {
        let request = asked.text(question::REQUEST_ID).and_then(|text| RequestId::of(text.as_bytes()));
        let Some(request) = request else { return self.validate(asked, door).await };
        let told = info_span!("request", id = request.as_str());
        request.carry(self.validate(asked, door).instrument(told)).await
    }

    async fn validate(&self, asked: &Fields, door: &dyn Door) -> Result<Field, Thrown> {
        let (asker, tenant) = self.admit(asked.text(question::SESSION), asked.long(question::MIN_INDEX), door).await?;
        let text = |number: i16| asked.text(number).unwrap_or_default();
        let Some(token) = asked.text(question::ACCESS_TOKEN) else {
            return Err(Thrown::wrong("an access token (field 3) is needed"));
        };
        let shown = match asked.text(question::KIND).filter(|_| asker.is_some()) {
            None => ShownKey::Token(token),
            Some("ApiKey") => ShownKey::ApiKey(token),
            Some("Password") => ShownKey::Password { username: token, password: text(question::USER_PASSWORD) },
            Some(other) => return Err(Thrown::wrong(format!("keys of the kind {other} are not known here"))),
        };
        let asked_about = Asked {
            context: text(question::CONTEXT),
            version: text(question::VERSION),
            shown,
            wants_assertion: asker.is_some() && asked.bool(question::WANTS_ASSERTION).unwrap_or_default(),
            origin: asked.text(question::ORIGIN).filter(|_| asker.is_some()).and_then(|text| text.parse().ok()),
            asker,
            tenant,
        };
        let judged = self.judge(&asked_about).await;
        debug!(is_good = judged.is_ok(), "a key was judged by Thrift");
        let (verdict, api) = match judged {
            Ok(found) => found,
            Err(refusal) => return Ok(Field::Struct(told::refused(refusal.code()))),
        };
        let view = self.authority.handle.view();
        let served = view.deployed().api(api.id).map(AsRef::as_ref);
        let (verb, resource) = (text(question::VERB), text(question::RESOURCE));
        if let Some(code) = told::objection(served, &verdict, text(question::LEVEL), verb, resource) {
            return Ok(Field::Struct(told::refused(code)));
        }
        let issued_at = self.issued_at(&view, shown);
        Ok(Field::Struct(told::authorized(&view, &verdict, api.id, issued_at, asker.is_some())))
    }

    async fn judge(&self, asked: &Asked<'_>) -> Result<(KeyVerdict, Arc<Api>), KeyRefusal> {
        let api = find_api(&self.authority.handle.view(), asked.context, asked.version);
        let api = api.ok_or(KeyRefusal::NotSubscribed)?;
        // Administrators of a tenant hear of its own APIs; those of the first one, as nodes, of all.
        if asked.tenant.as_ref().is_some_and(|tenant| !tenant.is_super() && *tenant != api.tenant) {
            return Err(KeyRefusal::NotSubscribed);
        }
        debug_assert!(asked.asker.is_some() || asked.tenant.is_some(), "whoever asks was let in");
        let Asked { shown, wants_assertion, origin, .. } = *asked;
        let question = KeyQuestion { shown, api: api.id, wants_assertion, origin };
        Ok((self.keys.validate(question).await?, api))
    }

    /// Returns when a key was issued; now, for what says nothing of it.
    fn issued_at(&self, view: &View<Access>, shown: ShownKey<'_>) -> Timestamp {
        let known = match shown {
            ShownKey::Token(text) => self.authority.know(view, text).ok(),
            ShownKey::ApiKey(_) | ShownKey::Password { .. } => None,
        };
        known.map_or_else(|| self.authority.now(view), |token| token.issued_at)
    }

    async fn templates(&self, asked: &Fields, door: &dyn Door) -> Result<Field, Thrown> {
        let session = asked.text(question::SESSION_OF_TEMPLATES);
        let (_, tenant) = self.admit(session, None, door).await?;
        let (context, version) = (asked.text(question::CONTEXT), asked.text(question::VERSION));
        let view = self.authority.handle.view();
        let api = find_api(&view, context.unwrap_or_default(), version.unwrap_or_default());
        let api = api.filter(|api| tenant.is_none_or(|tenant| tenant.is_super() || tenant == api.tenant));
        let served = api.and_then(|api| view.deployed().api(api.id));
        let served = served.ok_or_else(|| Thrown::wrong("no API is deployed with this context and version"))?;
        Ok(Field::Structs(told::templates(served)))
    }
}

/// Finds an API by its context, with its version in it or without, and its version.
fn find_api(view: &View<Access>, context: &str, version: &str) -> Option<Arc<Api>> {
    let tables = view.read::<Apimgtdb>();
    let tenant = match context.strip_prefix("/t/").and_then(|rest| rest.split_once('/')) {
        Some((domain, _)) => TenantDomain(domain.to_owned()),
        None => TenantDomain::super_tenant(),
    };
    let version = version.strip_prefix(DEFAULT_VERSION).unwrap_or(version);
    let at = |path: String| tables.apis.get(tables.contexts.get(&(tenant.clone(), path))?);
    let is_meant = |api: &&Arc<Api>| api.version == version;
    let with_version = at(context.trim_end_matches('/').to_owned()).filter(is_meant);
    with_version.or_else(|| at(versioned_context(context, version)).filter(is_meant)).cloned()
}

/// Returns Thrift's own answer to a call that was not understood.
pub(super) fn failure(call: &Message, kind: i32, why: &str) -> Message {
    let fields = Fields::default().with_text(EXCEPTION_MESSAGE, why).with(EXCEPTION_KIND, Field::Int(kind));
    Message { name: call.name.clone(), kind: TMessageType::Exception, sequence: call.sequence, fields }
}
