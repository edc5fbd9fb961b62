//! What `portcullis dev` prints when everything is ready: where things are, and what to type next.

use std::net::SocketAddr;
use std::time::Duration;

use portcullis_node::config::Config;
use serde_json::json;

use super::journey::{CONTEXT, Sample, VERSION};
use super::{ADMIN, DevArguments};
use crate::failure::Failure;
use crate::output::{self, Format};

/// Prints the tour.
///
/// # Errors
/// Where standard output cannot be written.
pub fn print(
    arguments: &DevArguments,
    configs: &[Config],
    backend: SocketAddr,
    sample: &Sample,
    took: Duration,
) -> Result<(), Failure> {
    let nodes: Vec<_> = configs.iter().map(Config::addresses).collect();
    if arguments.output != Format::Table {
        let nodes: Vec<_> = nodes
            .iter()
            .map(|at| {
                json!({
                    "management": format!("https://{}", at.management),
                    "gateway_http": format!("http://{}", at.gateway_http),
                    "gateway_https": format!("https://{}", at.gateway_https),
                })
            })
            .collect();
        let tour = json!({
            "nodes": nodes,
            "user": ADMIN.0,
            "password": ADMIN.1,
            "backend": format!("http://{backend}"),
            "api": format!("{CONTEXT}/{VERSION}"),
            "token": sample.token,
            "consumer_key": sample.consumer_key,
            "consumer_secret": sample.consumer_secret,
            "ready_after_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        });
        return output::value(arguments.output, &tour);
    }
    output::data(&for_people(arguments, configs, backend, sample, took))
}

fn for_people(
    arguments: &DevArguments,
    configs: &[Config],
    backend: SocketAddr,
    sample: &Sample,
    took: Duration,
) -> String {
    let mut text = format!("Portcullis is ready after {:.2} s.\n\n", took.as_secs_f64());
    for (at, config) in configs.iter().enumerate() {
        let own = config.addresses();
        let name = if configs.len() > 1 { format!("  node {}\n", at + 1) } else { String::new() };
        text.push_str(&name);
        text.push_str(&format!("  portals      https://{}/publisher  /devportal  /admin\n", own.management));
        text.push_str(&format!("  REST         https://{}/api/am/…  /oauth2/token\n", own.management));
        text.push_str(&format!("  gateway      http://{}  https://{}\n", own.gateway_http, own.gateway_https));
        text.push_str(&format!("  health       http://{}/healthz  /metrics\n", config.observability_address()));
    }
    let first = configs.first().map(Config::addresses);
    let (gateway, management) =
        first.map(|at| (at.gateway_http.to_string(), at.management.to_string())).unwrap_or_default();
    text.push_str(&format!("  sign in as   {} / {}\n", ADMIN.0, ADMIN.1));
    text.push_str(&format!("  backend      http://{backend}     the sample API's\n\n"));
    text.push_str("By clicking, from signing up to the first call:\n");
    text.push_str(&format!("  https://{management}/devportal\n\n"));
    text.push_str("Call the sample API (plan Gold):\n");
    text.push_str(&format!(
        "  curl -H 'Authorization: Bearer {}' http://{gateway}{CONTEXT}/{VERSION}/menu\n\n",
        sample.token
    ));
    text.push_str("Get another token:\n");
    text.push_str(&format!(
        "  curl -k -u {}:{} -d grant_type=client_credentials https://{management}/oauth2/token\n\n",
        sample.consumer_key, sample.consumer_secret
    ));
    text.push_str("See the cluster:\n");
    text.push_str(&format!(
        "  PORTCULLIS_USER={} PORTCULLIS_PASSWORD={} portcullis cluster status --server https://{management}\n\n",
        ADMIN.0, ADMIN.1
    ));
    if arguments.nodes == 1 {
        text.push_str("Three nodes instead of one:  portcullis dev --nodes 3\n");
    }
    text.push_str("Stop:                        Ctrl-C (nothing is left behind)\n");
    text
}
