//! What values of the configuration are accepted, where their type does not say it.

use std::net::IpAddr;

use portcullis_model::environment::{ENVIRONMENTS_MAX, is_environment_name};

pub(super) fn is_port(port: &u16) -> bool {
    *port > 0
}

pub(super) fn is_validity(seconds: &u64) -> bool {
    (1..=2_147_483_647).contains(seconds)
}

pub(super) fn is_directory_url(text: &str) -> bool {
    let host = text.strip_prefix("ldaps://").or_else(|| text.strip_prefix("ldap://"));
    text.is_empty() || host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']))
}

/// Says whether names are 1 to 100 of gateway environments, each of them once.
pub(super) fn is_list_of_environments(names: &[String]) -> bool {
    let is_new = |(at, name): (usize, &String)| !names[..at].contains(name);
    (1..=ENVIRONMENTS_MAX).contains(&names.len())
        && names.iter().all(|name| is_environment_name(name))
        && names.iter().enumerate().all(is_new)
}

/// Says whether `HOST` or `HOST:PORT` is this machine.
pub(super) fn is_this_machine(place: &str) -> bool {
    let (host, port) = place.rsplit_once(':').unwrap_or((place, ""));
    let host = if port.bytes().all(|digit| digit.is_ascii_digit()) { host } else { place };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Says whether an attribute of a directory may have this name.
pub(super) fn is_attribute(name: &str) -> bool {
    (1..=100).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || "-;.".contains(c))
}

/// Says whether it is empty, or something can be posted there.
pub(crate) fn is_webhook_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    text.is_empty()
        || (text.len() <= 2_048
            && rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && !rest.contains(' ')))
}

/// Says whether it looks like one; the mail server knows better.
pub(super) fn is_mail_address(text: &str) -> bool {
    text.is_empty() || (text.len() <= 320 && text.contains('@') && !text.contains(char::is_control))
}

pub(super) fn is_list_of_mail_addresses(names: &[String]) -> bool {
    names.len() <= 20 && names.iter().all(|name| !name.is_empty() && is_mail_address(name))
}

pub(super) fn is_public_url(text: &str) -> bool {
    let host = text.strip_prefix("https://");
    text.is_empty() || host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']))
}

pub(super) fn is_reachable(address: &Option<IpAddr>) -> bool {
    address.is_none_or(|address| !address.is_unspecified())
}

/// Says whether a header may have this name; no name is one too.
pub(super) fn is_header(name: &str) -> bool {
    name.len() <= 100 && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
}

/// Says whether a node may have this name.
pub(super) fn is_name(name: &str) -> bool {
    name.len() <= 63 && name.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c))
}

/// Says whether a stream of Google Analytics may have this id; none is one too.
pub(super) fn is_measurement_id(text: &str) -> bool {
    text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}
