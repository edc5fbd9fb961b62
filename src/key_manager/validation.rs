//! Validates keys for gateways. A look into the current state and no message to an actor: it is on the path of calls.

use portcullis_database::access::KeyManager as Access;
use portcullis_database::handle::View;
use portcullis_database::{Apimgtdb, Userdb, people};
use portcullis_model::api::versioned_context;
use portcullis_model::internal_key::InternalKey;
use portcullis_model::port::{KeyQuestion, KeyRefusal, KeyValidation, KeyVerdict, PortFuture, ShownKey};
use portcullis_model::{
    ApiId, Application, ApplicationId, ApplicationState, ClientId, KeyType, Subscription, SubscriptionState, Timestamp,
};

use crate::authority::Authority;
use crate::known_token::NotGood;

/// Why a key was refused.
pub(crate) struct Judgement {
    pub refusal: KeyRefusal,
    /// Where this node may merely not have heard yet of what would make the key good: the refusal in case it cannot
    /// find out.
    pub else_refusal: Option<KeyRefusal>,
}

impl From<KeyRefusal> for Judgement {
    fn from(refusal: KeyRefusal) -> Self {
        Self { refusal, else_refusal: None }
    }
}

impl From<NotGood> for Judgement {
    fn from(fault: NotGood) -> Self {
        match fault {
            NotGood::Unknown => KeyRefusal::Invalid.into(),
            NotGood::Expired => KeyRefusal::Expired.into(),
            NotGood::NotHeardOf { is_ours } => Self {
                refusal: KeyRefusal::Invalid,
                else_refusal: Some(if is_ours { KeyRefusal::Unavailable } else { KeyRefusal::Invalid }),
            },
        }
    }
}

impl KeyValidation for Authority {
    fn validate<'a>(&'a self, question: KeyQuestion<'a>) -> PortFuture<'a, Result<KeyVerdict, KeyRefusal>> {
        Box::pin(async move {
            let mut verdict = self.verdict(question).await?;
            if question.wants_assertion {
                let assertion = self.assertion(&self.handle.view(), &verdict, question.api).await;
                verdict.assertion = assertion.map(Box::new);
            }
            Ok(verdict)
        })
    }

    fn spend<'a>(&'a self, token: &'a str, until: Timestamp) -> PortFuture<'a, Result<(), KeyRefusal>> {
        Box::pin(self.spend_token(token, until))
    }
}

impl Authority {
    async fn verdict(&self, question: KeyQuestion<'_>) -> Result<KeyVerdict, KeyRefusal> {
        if let ShownKey::Password { username, password } = question.shown {
            return self.judge_password(username, password, question).await;
        }
        let judgement = match self.judge(&self.handle.view(), question) {
            Ok(verdict) => return Ok(verdict),
            Err(judgement) => judgement,
        };
        if let (ShownKey::Token(text), KeyRefusal::Invalid) = (question.shown, judgement.refusal)
            && let Some(judged) = self.judge_foreign(text, question.api).await
            && judged != Err(KeyRefusal::Invalid)
        {
            return judged;
        }
        let Some(else_refusal) = judgement.else_refusal else { return Err(judgement.refusal) };
        let Some(view) = self.caught_up().await else { return Err(else_refusal) };
        self.judge(&view, question).map_err(|judgement| judgement.refusal)
    }

    /// Judges a key: first the key itself, then the subscription, as the original does.
    fn judge(&self, view: &View<Access>, question: KeyQuestion<'_>) -> Result<KeyVerdict, Judgement> {
        match question.shown {
            ShownKey::Token(text) => self.judge_token(view, text, question.api),
            ShownKey::ApiKey(text) => self.judge_api_key(view, text, question.api),
            // Checking one takes longer than a look into the state: it is not done here.
            ShownKey::Password { .. } => Err(KeyRefusal::Invalid.into()),
        }
    }

    fn judge_api_key(&self, view: &View<Access>, text: &str, api: ApiId) -> Result<KeyVerdict, Judgement> {
        if InternalKey::is_one(text) {
            return self.judge_internal_key(view, text, api);
        }
        let key = self.know_api_key(view, text)?;
        let (application, subscription) = subscribed(view, key.application, key.key_type, api)?;
        let restriction = (!key.restriction.is_empty()).then(|| Box::new(key.restriction.clone()));
        Ok(KeyVerdict {
            client: ClientId(String::new()),
            application: application.id,
            application_name: application.name.clone(),
            application_owner: application.owner.clone(),
            tenant: application.tenant.clone(),
            application_policy: application.policy.clone(),
            key_type: key.key_type,
            plan: subscription.plan.clone(),
            end_user: application.owner.clone(),
            is_user_token: false,
            scopes: Vec::new(),
            expires_at: key.expires_at.unwrap_or(Timestamp(u64::MAX)),
            restriction,
            assertion: None,
            binding: None,
            claims: Vec::new(),
            good_until: None,
        })
    }

    fn judge_token(&self, view: &View<Access>, text: &str, api: ApiId) -> Result<KeyVerdict, Judgement> {
        let token = self.know(view, text)?;
        if !is_for(view, &token.details.resources, api) {
            return Err(KeyRefusal::Invalid.into());
        }
        // A client that serves no application, such as one of the REST APIs' own, is subscribed to nothing.
        let mapping = token.client.mapping.ok_or(KeyRefusal::NotSubscribed)?;
        let (application, subscription) = subscribed(view, mapping.application, mapping.key_type, api)?;
        let is_user_token = token.user.is_some();
        let end_user = token.user.as_ref().map_or(&application.owner, |user| &user.username);
        Ok(KeyVerdict {
            client: token.client.id.clone(),
            application: application.id,
            application_name: application.name.clone(),
            application_owner: application.owner.clone(),
            tenant: application.tenant.clone(),
            application_policy: application.policy.clone(),
            key_type: mapping.key_type,
            plan: subscription.plan.clone(),
            end_user: end_user.clone(),
            is_user_token,
            scopes: token.scopes,
            expires_at: token.expires_at,
            binding: token.details.binding,
            restriction: None,
            assertion: None,
            claims: Vec::new(),
            good_until: None,
        })
    }
}

/// Says whether a token that is for some resources alone (RFC 8707) is for an API: one of them has the path of its
/// context, or one above or below it.
fn is_for(view: &View<Access>, resources: &[String], api: ApiId) -> bool {
    if resources.is_empty() {
        return true;
    }
    let Some(api) = view.read::<Apimgtdb>().apis.get(&api) else { return false };
    let context = format!("{}/", versioned_context(&api.context, &api.version));
    resources.iter().any(|resource| {
        let path = url::Url::parse(resource).map(|url| format!("{}/", url.path().trim_end_matches('/')));
        path.is_ok_and(|path| context.starts_with(&path) || path.starts_with(&context))
    })
}

/// Returns an application and its subscription to an API, where both let it call.
pub(crate) fn subscribed(
    view: &View<Access>,
    application: ApplicationId,
    key_type: KeyType,
    api: ApiId,
) -> Result<(&Application, &Subscription), Judgement> {
    let tables = view.read::<Apimgtdb>();
    let not_heard_of = Judgement { refusal: KeyRefusal::NotSubscribed, else_refusal: Some(KeyRefusal::NotSubscribed) };
    let Some(found) = tables.applications.get(&application) else { return Err(not_heard_of) };
    if found.state != ApplicationState::Approved {
        return Err(KeyRefusal::Inactive.into());
    }
    // As a token of such a tenant's client, which is refused before.
    if !people::is_active(view.read::<Userdb>(), &found.tenant) {
        return Err(KeyRefusal::Invalid.into());
    }
    let id = tables.subscriptions_by_application.get(&(application, api));
    let Some(subscription) = id.and_then(|id| tables.subscriptions.get(id)) else { return Err(not_heard_of) };
    check(subscription.state, key_type)?;
    Ok((found, subscription))
}

fn check(state: SubscriptionState, key_type: KeyType) -> Result<(), KeyRefusal> {
    match (state, key_type) {
        (SubscriptionState::Unblocked, _) | (SubscriptionState::ProdOnlyBlocked, KeyType::Sandbox) => Ok(()),
        (SubscriptionState::Blocked, _) | (SubscriptionState::ProdOnlyBlocked, KeyType::Production) => {
            Err(KeyRefusal::Blocked)
        }
        (SubscriptionState::OnHold | SubscriptionState::Rejected, _) => Err(KeyRefusal::Inactive),
    }
}
