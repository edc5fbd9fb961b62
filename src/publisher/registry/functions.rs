//! By which key the functions of an API are listed and called: opened for who asks AWS, and shown to nobody.

use portcullis_model::Refused;
use portcullis_model::lambda::LambdaEndpoint;
use portcullis_model::port::Secret;
use serde_json::Value;

use super::{Registry, find_view, seen};
use crate::fault::PublisherError;
use crate::messages::{FunctionKey, GetFunctionKey, Seen};

impl Registry {
    pub(crate) async fn get_function_key(&self, message: GetFunctionKey) -> Result<Seen<FunctionKey>, PublisherError> {
        let snapshot = self.snapshot(&message.asker).await?;
        let view = find_view(&snapshot, &message.asker.identity, &message.id)?;
        let document: Value = serde_json::from_str(&view.api.endpoints.document).unwrap_or_default();
        let endpoint = LambdaEndpoint::of_document(&document).and_then(Result::ok);
        let missing = || Refused::not_found("endpoint of the type awslambda of API", &message.id);
        let endpoint = endpoint.ok_or_else(missing)?;
        let secret = self.opened(&endpoint.secret_key.to_text());
        let secret = secret.ok_or_else(|| PublisherError::field("endpointConfig.amznSecretKey", "cannot be opened"))?;
        Ok(seen(&snapshot, FunctionKey { endpoint, secret: Secret(secret) }))
    }
}
