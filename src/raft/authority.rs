//! The cluster's certificate authority: makes it, and signs the certificates by which nodes know each other. Keeps
//! nothing: keys come in and certificates go out.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use portcullis_database::handle::{random_bytes, wall_clock};
use portcullis_model::{NodeAddresses, NodeId, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType, SignatureAlgorithm,
};
use uuid::Uuid;

use crate::certificates::Parsed;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long the authority's certificate is valid.
const AUTHORITY_VALID: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// How far before its making a certificate begins to be valid, so that clocks may differ.
const BACKDATED: Duration = DAY;
/// Bytes of a certificate signing request, PEM.
const REQUEST_BYTES_MAX: usize = 16 << 10;
/// Characters of a node's name: that of a host name (RFC 1035).
const NAME_CHARS_MAX: usize = 253;

/// Why a certificate cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The request, a name or a key is not usable.
    #[error("the certificate cannot be made: {0}")]
    Generate(#[from] rcgen::Error),
    /// The request is too large to be one.
    #[error("the certificate request has {0} bytes; at most {REQUEST_BYTES_MAX} are read")]
    RequestTooLarge(usize),
    /// The request's key is of a kind that is not accepted.
    #[error("the certificate request's key must be ECDSA (P-256 or P-384) or Ed25519")]
    KeyKind,
    /// The authority's certificate cannot be read.
    #[error("the authority's certificate cannot be read")]
    Authority,
    /// The node's name cannot stand in a certificate.
    #[error(
        "the node name {0:?} must be a host name: letters, digits, dots and hyphens, at most {NAME_CHARS_MAX}, and not \
         the cluster's own"
    )]
    Name(String),
}

/// An authority, or the certificate and key of a node: PEM.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// Returns the name by which node `node` of a cluster is known in certificates.
pub(crate) fn node_host(node: NodeId, cluster: Uuid) -> String {
    format!("node-{node}.{cluster}")
}

/// Returns the node that is known by a name in certificates.
pub(crate) fn node_of_host(host: &str, cluster: Uuid) -> Option<NodeId> {
    let id = host.strip_prefix("node-")?.strip_suffix(&format!(".{cluster}"))?.parse().ok()?;
    Some(NodeId(id)).filter(|node| node_host(*node, cluster) == host)
}

/// Says whether a node may have this name. A name that looks like another node's identity must never be signed.
pub(crate) fn check_name(name: &str, cluster: Option<Uuid>) -> Result<(), CertificateError> {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    let is_host = name.len() <= NAME_CHARS_MAX && name.split('.').all(is_label);
    let is_cluster = cluster.is_some_and(|cluster| name.to_ascii_lowercase().contains(&cluster.to_string()));
    if is_host && !is_cluster { Ok(()) } else { Err(CertificateError::Name(name.to_owned())) }
}

/// Makes a new authority.
pub(crate) fn create(cluster_name: &str) -> Result<Pair, CertificateError> {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let certificate = authority_params(&authority_name(cluster_name)).self_signed(&key)?;
    Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
}

/// Makes the authority that is to follow `present`, and its certificate as `present` signs it.
pub(crate) fn create_next(cluster_name: &str, present: &Pair) -> Result<(Pair, String), CertificateError> {
    let name = authority_name(cluster_name);
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let certificate = authority_params(&name).self_signed(&key)?;
    let mut crossed = authority_params(&name);
    crossed.use_authority_key_identifier_extension = true;
    let issuer = Issuer::from_ca_cert_pem(&present.certificate, KeyPair::from_pem(&present.key)?)?;
    let crossed = crossed.signed_by(&key, &issuer)?.pem();
    Ok((Pair { certificate: certificate.pem(), key: key.serialize_pem() }, crossed))
}

/// Returns a name that no other authority has: two of one cluster must be told apart.
fn authority_name(cluster_name: &str) -> String {
    let tag: [u8; 4] = random_bytes();
    format!("Portcullis cluster {cluster_name} authority {}", hex::encode(tag))
}

fn authority_params(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(common_name);
    // One more authority below it: the next one, while the nodes move from this to that.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    set_validity(&mut params, AUTHORITY_VALID);
    params
}

/// Makes a node's key and a request for its certificate, PEM: what is in the request beside the key does not count.
pub(crate) fn request() -> Result<(String, String), CertificateError> {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = named("Portcullis node");
    let request = params.serialize_request(&key)?.pem()?;
    Ok((key.serialize_pem(), request))
}

/// Makes a request for another certificate of a node's key, PEM.
pub(crate) fn request_for(key: &str) -> Result<String, CertificateError> {
    let key = KeyPair::from_pem(key)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = named("Portcullis node");
    Ok(params.serialize_request(&key)?.pem()?)
}

/// Who a certificate is for, and for how long.
#[derive(Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) node: NodeId,
    pub(crate) cluster: Uuid,
    pub(crate) name: &'a str,
    pub(crate) addresses: &'a NodeAddresses,
    pub(crate) valid: Duration,
}

/// Signs the key in `request`, whose holder has proved to have it by signing the request.
pub(crate) fn sign(authority: &Pair, request: &str, subject: &Subject<'_>) -> Result<String, CertificateError> {
    check_request(request)?;
    let mut request = CertificateSigningRequestParams::from_pem(request)?;
    let accepted: [&SignatureAlgorithm; 3] =
        [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519];
    if !accepted.contains(&request.public_key.algorithm()) {
        return Err(CertificateError::KeyKind);
    }
    // No certificate outlives its authority.
    let ends = Parsed::from_pem(&authority.certificate).map_err(|_| CertificateError::Authority)?.not_after;
    let valid = subject.valid.min(ends.since(wall_clock()));
    request.params = node_params(subject, valid)?;
    let key = KeyPair::from_pem(&authority.key)?;
    let issuer = Issuer::from_ca_cert_pem(&authority.certificate, key)?;
    Ok(request.signed_by(&issuer)?.pem())
}

/// Refuses what cannot be a certificate request before anything is done for it.
pub(crate) fn check_request(request: &str) -> Result<(), CertificateError> {
    if request.len() > REQUEST_BYTES_MAX {
        return Err(CertificateError::RequestTooLarge(request.len()));
    }
    CertificateSigningRequestParams::from_pem(request)?;
    Ok(())
}

fn node_params(subject: &Subject<'_>, valid: Duration) -> Result<CertificateParams, CertificateError> {
    check_name(subject.name, Some(subject.cluster))?;
    let host = node_host(subject.node, subject.cluster);
    let mut params = CertificateParams::default();
    params.distinguished_name = named(&format!("node-{}", subject.node));
    let mut names = vec![host, "localhost".to_owned()];
    if subject.name != "localhost" && subject.name.parse::<IpAddr>().is_err() {
        names.push(subject.name.to_owned());
    }
    for name in names {
        params.subject_alt_names.push(SanType::DnsName(name.try_into()?));
    }
    let addresses = subject.addresses;
    let mut ips: Vec<IpAddr> =
        [addresses.cluster, addresses.management, addresses.gateway_http, addresses.gateway_https]
            .iter()
            .map(std::net::SocketAddr::ip)
            .filter(|ip| !ip.is_unspecified())
            .collect();
    ips.push(IpAddr::from([127, 0, 0, 1]));
    ips.sort_unstable();
    ips.dedup();
    params.subject_alt_names.extend(ips.into_iter().map(SanType::IpAddress));
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params, valid);
    Ok(params)
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "Portcullis");
    name.push(DnType::CommonName, common_name);
    name
}

fn set_validity(params: &mut CertificateParams, valid: Duration) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    params.not_before = epoch + now.saturating_sub(BACKDATED.min(valid));
    params.not_after = epoch + now + valid;
}

/// Returns when a certificate should be renewed: when a third of its life is left.
pub(crate) fn renewal_due(not_before: Timestamp, not_after: Timestamp) -> Timestamp {
    let whole = not_after.since(not_before);
    // See `set_validity`: the life is what is left without the backdating.
    let life = if whole >= BACKDATED * 2 { whole - BACKDATED } else { whole / 2 };
    Timestamp(not_after.0.saturating_sub(u64::try_from((life / 3).as_millis()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nodes_name_in_certificates_leads_back_to_the_node() {
        let cluster = Uuid::from_u128(7);
        assert_eq!(node_of_host(&node_host(NodeId(12), cluster), cluster), Some(NodeId(12)));
        assert_eq!(node_of_host(&node_host(NodeId(12), cluster), Uuid::from_u128(8)), None);
        assert_eq!(node_of_host(&format!("node-012.{cluster}"), cluster), None);
        assert_eq!(node_of_host("localhost", cluster), None);
    }

    #[test]
    fn a_certificate_is_renewed_after_two_thirds_of_its_life() {
        let day = 24 * 3_600_000;
        let made = 100 * day;
        // A year, backdated by a day; and nine seconds, backdated by nine.
        assert_eq!(renewal_due(Timestamp(made - day), Timestamp(made + 360 * day)), Timestamp(made + 240 * day));
        assert_eq!(renewal_due(Timestamp(made - 9_000), Timestamp(made + 9_000)), Timestamp(made + 6_000));
    }

    #[test]
    fn a_node_cannot_take_another_nodes_name() {
        let cluster = Uuid::from_u128(7);
        assert!(check_name(&node_host(NodeId(1), cluster), Some(cluster)).is_err());
        assert!(check_name(&format!("x.{}", cluster.to_string().to_uppercase()), Some(cluster)).is_err());
        assert!(check_name("gateway-1.example.com", Some(cluster)).is_ok());
        assert!(check_name("a b", None).is_err());
    }
}
