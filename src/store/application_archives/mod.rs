//! Applications as archives of the original's command-line client: written, and read into applications with their keys
//! and subscriptions. Who may do that works for the whole tenant.

mod export;
mod subscribe;
mod writes;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_database::handle::random_bytes;
use portcullis_database::{Apimgtdb, Userdb, command, people};
use portcullis_http::Stamped;
use portcullis_http::zip;
use portcullis_model::oauth::KeyMapping;
use portcullis_model::{
    Application, ApplicationId, ApplicationState, ClientId, KeyMappingId, KeyType, OauthClient, Principal, Refused,
    Timestamp, TokenType, Username,
};
use serde_json::Value;

use self::subscribe::{skipped, subscribe};
use self::writes::Writes;
use crate::actor::{Desk, Request, StoreView};
use crate::applications::{apis_of, check_body};
use crate::aside::aside;
use crate::definition;
use crate::dto::application::{ApplicationBody, ApplicationInfoDto};
use crate::dto::application_archive::{ArchivedApplication, ArchivedInfo, ArchivedKey};
use crate::error::StoreError;
use crate::key_request::{check_callback, check_grants, check_properties, is_resident};
use crate::keys::name_of_client;
use crate::messages::{ImportApplication, Subscriber};

/// Subscriptions of an application in an archive.
const SUBSCRIPTIONS_MAX: usize = 1_000;
/// Keys of an application in an archive: one of each type.
const KEYS_MAX: usize = 2;
/// Bytes of the files of an archive, unpacked: there is one that is read.
const UNPACKED_BYTES_MAX: usize = 1 << 20;
/// What is said of an application that may not be used yet.
const WAITS: &str = "The application waits for approval, so that it has neither keys nor subscriptions of the archive. \
                     Once it is approved, import the archive again with update=true.";
/// What is said of an application that was refused before.
const REJECTED: &str = "The application was rejected, so that it has neither keys nor subscriptions of the archive.";
/// Characters of a client id and of a secret.
const CREDENTIAL_CHARS_MAX: usize = 255;

/// What became of an archive.
pub(crate) struct Imported {
    /// The application.
    pub application: ApplicationInfoDto,
    /// The APIs that it could not be subscribed to, as the contract's `APIInfo` has them.
    pub skipped: Vec<Value>,
    /// Why it has neither keys nor subscriptions of the archive, where it may not be used.
    pub remark: Option<&'static str>,
}

fn named(view: &StoreView, owner: &Principal, name: &str) -> Option<Arc<Application>> {
    let database = view.read::<Apimgtdb>();
    let key = (owner.tenant.clone(), owner.username.clone(), name.to_lowercase());
    database.applications.get(database.application_names.get(&key)?).cloned()
}

impl Request for ImportApplication {
    type Reply = Stamped<Imported>;

    async fn answer(mut self, desk: Desk) -> Result<Self::Reply, StoreError> {
        // Several writes: a retry finds what the first try made, and says so.
        let by = Subscriber { idempotency: None, ..self.subscriber.clone() };
        let archive = std::mem::take(&mut self.archive);
        let archived = aside(move || read(&archive)).await??;
        let owner = self.owner_of(&archived.application_info, &by)?;
        let view = desk.view_for(by.consistency).await?;
        let user = people::user(view.read::<Userdb>(), &owner.tenant, &owner.username);
        let roles = user.map(|user| user.roles.clone()).ok_or_else(|| Refused::not_found("user", &owner.username))?;
        let (info, subscriptions) = (archived.application_info, archived.subscribed_apis);
        let keys = if self.skips_keys { Vec::new() } else { info.keys.unwrap_or_default() };
        if keys.len() > KEYS_MAX || subscriptions.len() > SUBSCRIPTIONS_MAX {
            let reason = format!("at most {KEYS_MAX} keys and {SUBSCRIPTIONS_MAX} subscriptions are accepted");
            return Err(Refused::invalid("file", reason).into());
        }
        let body = ApplicationBody {
            name: info.name,
            throttling_policy: info.throttling_policy,
            description: info.description,
            token_type: info.token_type,
            groups: info.groups,
            attributes: info.attributes,
            visibility: None,
        };
        check_body(&body)?;
        let there = named(&view, &owner, &body.name).filter(|_| self.updates);
        let is_new = there.is_none();
        let mut writes = Writes::of(&desk, &by);
        let application = put(&mut writes, &owner, there.as_deref(), body).await?;
        let remark = match application.state {
            ApplicationState::Approved => None,
            ApplicationState::Created => Some(WAITS),
            ApplicationState::Rejected => Some(REJECTED),
        };
        if remark.is_some() {
            let all = subscriptions.iter().filter(|_| !self.skips_subscriptions);
            let skipped = all.map(|one| skipped(&one.api_id)).collect();
            let view = desk.view();
            let application = ApplicationInfoDto::new(&application, apis_of(&view, application.id).count());
            return Ok(writes.answer(Imported { application, skipped, remark }, &view));
        }
        let owner = Subscriber { principal: owner, roles: roles.into(), ..by.clone() };
        let brought = bring(&mut writes, &owner, &application, keys, !is_new).await;
        let skipped = match brought {
            Ok(()) if self.skips_subscriptions => Ok(Vec::new()),
            Ok(()) => subscribe(&mut writes, &owner, &application, subscriptions, self.ignores_plans).await,
            Err(error) => Err(error),
        };
        let skipped = match skipped {
            Ok(skipped) => skipped,
            Err(error) => {
                if is_new {
                    take_back(&desk, &by, application.id).await;
                }
                return Err(error);
            }
        };
        let view = desk.view();
        let application = ApplicationInfoDto::new(&application, apis_of(&view, application.id).count());
        Ok(writes.answer(Imported { application, skipped, remark }, &view))
    }
}

impl ImportApplication {
    /// Returns whose the application is to be.
    fn owner_of(&self, info: &ArchivedInfo, by: &Subscriber) -> Result<Principal, Refused> {
        let tenant = by.principal.tenant.clone();
        let archived = || {
            let name = info.owner.as_deref().filter(|name| !name.is_empty());
            name.ok_or_else(|| Refused::invalid("file", "the archive names no owner to preserve"))
        };
        let name = match &self.owner {
            _ if self.keeps_owner => archived()?,
            Some(owner) => owner.0.as_str(),
            None => return Ok(by.principal.clone()),
        };
        let username = Username(name.strip_suffix(&format!("@{tenant}")).unwrap_or(name).to_owned());
        Ok(Principal { tenant, username })
    }
}

/// Understands an archive.
fn read(archive: &[u8]) -> Result<ArchivedApplication, Refused> {
    let refuse = |reason: String| Refused::invalid("file", reason);
    let files = zip::read_within(archive, UNPACKED_BYTES_MAX).map_err(refuse)?;
    let is_it = |name: &String| matches!(name.rsplit('/').next(), Some("application.yaml" | "application.json"));
    let found = files.iter().find(|(name, _)| name.matches('/').count() <= 1 && is_it(name));
    let (name, bytes) =
        found.ok_or_else(|| refuse("the archive has no application.yaml or application.json".to_owned()))?;
    let text = std::str::from_utf8(bytes).map_err(|_| refuse(format!("{name} is not UTF-8")))?;
    let mut whole = definition::parse(text).ok_or_else(|| refuse(format!("{name} holds no object")))?;
    let data = whole.remove("data").unwrap_or(Value::Object(whole));
    serde_json::from_value(data).map_err(|error| refuse(format!("{name}: {error}")))
}

/// Makes the application, or changes the one that is there.
async fn put(
    writes: &mut Writes<'_>,
    owner: &Principal,
    there: Option<&Application>,
    body: ApplicationBody,
) -> Result<Application, StoreError> {
    if let Some(there) = there {
        let update = command::UpdateApplication {
            id: there.id,
            owned_by: Some(owner.clone()),
            unchanged_since: None,
            name: body.name,
            description: body.description.unwrap_or_default(),
            policy: body.throttling_policy,
            token_type: body.token_type.map(TokenType::from),
            groups: body.groups.unwrap_or_default(),
            attributes: body.attributes.unwrap_or_default(),
        };
        return writes.submit(update).await;
    }
    let application = Application {
        id: ApplicationId::from_random(random_bytes()),
        tenant: owner.tenant.clone(),
        owner: owner.username.clone(),
        name: body.name,
        description: body.description.unwrap_or_default(),
        policy: body.throttling_policy,
        token_type: body.token_type.map_or(TokenType::Jwt, TokenType::from),
        state: ApplicationState::Approved,
        groups: body.groups.unwrap_or_default(),
        attributes: body.attributes.unwrap_or_default(),
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
    };
    writes.submit(command::CreateApplication { application }).await
}

async fn take_back(desk: &Desk, by: &Subscriber, id: ApplicationId) {
    let delete = command::DeleteApplication { id, owned_by: None, unchanged_since: None };
    if let Err(error) = desk.submit(delete, by).await {
        tracing::warn!(%id, %error, "an application that was imported in part could not be taken back");
    }
}

/// Brings keys along. Where the application has keys of a type already, they stay.
async fn bring(
    writes: &mut Writes<'_>,
    owner: &Subscriber,
    application: &Application,
    keys: Vec<ArchivedKey>,
    keeps: bool,
) -> Result<(), StoreError> {
    for (number, key) in keys.into_iter().enumerate() {
        let key_type = KeyType::from(key.key_type);
        let has = |view: &StoreView| view.read::<Apimgtdb>().key_mappings.contains_key(&(application.id, key_type));
        let desk = writes.desk;
        if keeps && has(&desk.view()) {
            continue;
        }
        let client =
            client_of(desk, application, key, key_type).map_err(|error| at(&format!("keys[{number}]"), error))?;
        let create = command::PutApplicationClient { client, is_new: true, owned_by: Some(owner.principal.clone()) };
        writes.submit(create).await?;
    }
    Ok(())
}

fn at(place: &str, refused: Refused) -> Refused {
    match refused {
        Refused::Invalid { field, reason } => Refused::Invalid { field: format!("{place}.{field}"), reason },
        other => other,
    }
}

fn client_of(
    desk: &Desk,
    application: &Application,
    key: ArchivedKey,
    key_type: KeyType,
) -> Result<OauthClient, Refused> {
    if !is_resident(key.key_manager.as_deref()) {
        let name = key.key_manager.unwrap_or_default();
        let reason = format!("is {name}, whose keys are not brought along; import without keys, and map them");
        return Err(Refused::invalid("keyManager", reason));
    }
    let is_good = |text: &str| {
        (1..=CREDENTIAL_CHARS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let wrong = |field: &str| {
        Refused::invalid(field, format!("must be there, with 1 to {CREDENTIAL_CHARS_MAX} visible ASCII characters"))
    };
    let id = key.consumer_key.filter(|id| is_good(id)).ok_or_else(|| wrong("consumerKey"))?;
    let secret = STANDARD.decode(key.consumer_secret.unwrap_or_default()).ok();
    let secret = secret.and_then(|bytes| String::from_utf8(bytes).ok()).filter(|secret| is_good(secret));
    let secret = secret.ok_or_else(|| wrong("consumerSecret (in base64)"))?;
    let grants = key.supported_grant_types.unwrap_or_default();
    let grants = check_grants("supportedGrantTypes", &grants, &desk.settings().grant_types)?;
    let callback_url = key.callback_url.unwrap_or_default();
    check_callback(&callback_url, &grants)?;
    let properties = check_properties(key.additional_properties.as_ref())?.unwrap_or_default();
    Ok(OauthClient {
        id: ClientId(id),
        secret: desk.issuer.seal_secret(&secret),
        tenant: application.tenant.clone(),
        owner: application.owner.clone(),
        name: name_of_client(application, key_type),
        mapping: Some(KeyMapping {
            id: KeyMappingId::from_random(random_bytes()),
            application: application.id,
            key_type,
        }),
        grants,
        callback_url,
        token_type: application.token_type,
        token_validity_s: properties.token_validity_s,
        other_fields: if properties.text.is_empty() { "{}".to_owned() } else { properties.text },
        created_at: Timestamp(0),
    })
}
