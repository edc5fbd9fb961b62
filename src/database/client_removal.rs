//! Removes an OAuth client from the state with everything that hangs on it. Used by the commands that delete a client
//! and those that delete what owns one (an application); it does not check whether the caller may.

use portcullis_model::ClientId;

use crate::client_secrets;
use crate::kept_tokens;
use crate::state::{Generation, State};

/// Removes a client, its key mapping or name, and all its tokens, and lets gateways forget what they know about its
/// keys. Self-contained tokens of it die too: no gateway accepts a token whose client is not in the state. Returns
/// whether there was such a client.
pub(crate) fn remove_client(state: &mut State, id: &ClientId) -> bool {
    let Some(client) = state.apimgt.clients.remove(id) else { return false };
    if let Some(mapping) = client.mapping {
        let key = (mapping.application, mapping.key_type);
        if state.apimgt.key_mappings.get(&key) == Some(id) {
            state.apimgt.key_mappings.remove(&key);
        }
        state.apimgt.key_mapping_ids.remove(&mapping.id);
    }
    let name = (client.tenant.clone(), client.owner.clone(), client.name.clone());
    if state.apimgt.client_names.get(&name) == Some(id) {
        state.apimgt.client_names.remove(&name);
    }
    for digest in kept_tokens::of_client(state, id) {
        kept_tokens::remove(state, &digest);
    }
    for (secret, _) in client_secrets::of(state, id) {
        state.apimgt.client_secrets.remove(&(id.clone(), secret));
    }
    state.apimgt.revoked_clients.remove(id);
    let first = (id.clone(), None, String::new());
    let of_client = state.apimgt.sole_tokens.range(first..).take_while(|((client, ..), _)| client == id);
    for key in of_client.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
        state.apimgt.sole_tokens.remove(&key);
    }
    state.deployed.advance(Generation::Keys);
    true
}
