//! One node, inside this process.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use portcullis_http::client::Client;
use portcullis_http::tls;
use portcullis_node::config::Config;
use portcullis_node::{Node, logging};

use super::place::Place;
use super::{ADMIN, DevArguments, journey, tour};
use crate::authority::CA_FILE;
use crate::cluster::make_cluster;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files;
use crate::output;
use crate::remote::of_client;
use crate::signals::StopSignals;

/// Runs one node until a signal, or until it fails.
///
/// # Errors
/// Where the node or the sample fails.
pub async fn run(
    arguments: &DevArguments,
    place: &Place,
    backend: SocketAddr,
    began: Instant,
    signals: &mut StopSignals,
) -> Result<(), Failure> {
    let config = &place.configs()[0];
    logging::start(&config.log);
    let data_dir = place.data_dir(0);
    make_cluster(&data_dir, config, "dev", ADMIN.1)?;
    let node = Node::start(&data_dir, config.clone(), &[]).await.map_err(|fault| cannot_start(&fault))?;
    let touring = async {
        node.ready().await;
        let sample = journey::make(&client(config, &data_dir)?, backend).await?;
        tour::print(arguments, place.configs(), backend, &sample, began.elapsed())?;
        std::future::pending::<Result<(), Failure>>().await
    };
    let outcome = tokio::select! {
        outcome = touring => outcome,
        why = node.failed() => Err(Failure::new(Exit::Failed, "the node had to stop", why, "see the lines above")),
        name = signals.next() => {
            output::say(&format!("\n{name}: stopping"));
            Ok(())
        }
    };
    tokio::select! {
        () = node.stop() => {}
        name = signals.again() => output::say(&format!("{name} again: stopped at once")),
    }
    outcome
}

/// Says that a node cannot start, and where ports are taken, how to be beside.
pub fn cannot_start(fault: &dyn portcullis_model::fault::Fault) -> Failure {
    let failure = Failure::from_fault("the node cannot start", fault);
    if fault.code() == portcullis_node::PORT_TAKEN {
        return failure.next("portcullis dev --port-offset 100     or stop what uses the port");
    }
    failure
}

/// Returns a client of a node of this tour, signed in as the administrator.
///
/// # Errors
/// Where its certificate authority cannot be read.
pub fn client(config: &Config, data_dir: &Path) -> Result<Client, Failure> {
    let pem = files::read(&data_dir.join(CA_FILE))?;
    let trusted = tls::client_config_with_ca(&pem).map_err(|fault| {
        Failure::new(Exit::Failed, "the node's certificate authority cannot be used", fault.to_string(), "report this")
    })?;
    let server = format!("https://{}", config.addresses().management);
    let client = Client::new(&server, Some(trusted)).map_err(|fault| of_client(&fault))?;
    Ok(client.with_basic(ADMIN.0, ADMIN.1))
}
