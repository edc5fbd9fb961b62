//! What an assertion says (SAML 2.0 core, section 2; RFC 7522, section 3).

use portcullis_http::time::from_rfc3339;
use portcullis_model::Timestamp;

use super::xml::{self, Element};

/// How the subject is confirmed: whoever has the assertion is it.
const BEARER: &str = "urn:oasis:names:tc:SAML:2.0:cm:bearer";

/// What an assertion says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Assertion {
    pub(super) id: String,
    pub(super) issuer: String,
    /// Whom it is about.
    pub(super) subject: String,
    /// From when on it is good.
    pub(super) begins_at: Option<Timestamp>,
    /// When it ends.
    pub(super) ends_at: Timestamp,
    /// Whom it is for: one of each list must be meant.
    audiences: Vec<Vec<String>>,
    /// Where it may be brought.
    recipients: Vec<String>,
}

impl Assertion {
    /// Reads a canonical assertion whose signature was checked.
    ///
    /// # Errors
    /// What it does not say.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let root = xml::parse(text)?;
        let conditions = root.only("Conditions").ok_or("it must have Conditions")?;
        let subject = root.only("Subject").ok_or("it must have a Subject")?;
        let name = subject.only("NameID").and_then(Element::text).filter(|name| !name.is_empty());
        let bearer = |one: &&Element| one.local == "SubjectConfirmation" && one.attribute("Method") == Some(BEARER);
        let data: Vec<&Element> =
            subject.elements().filter(bearer).filter_map(|one| one.only("SubjectConfirmationData")).collect();
        let ends = data.iter().chain([&conditions]).filter_map(|one| one.attribute("NotOnOrAfter"));
        let begins = data.iter().chain([&conditions]).filter_map(|one| one.attribute("NotBefore"));
        let audiences = conditions.elements().filter(|one| one.local == "AudienceRestriction").map(|restriction| {
            restriction.elements().filter(|one| one.local == "Audience").filter_map(Element::text).collect()
        });
        Ok(Self {
            id: root.attribute("ID").unwrap_or_default().to_owned(),
            issuer: root.only("Issuer").and_then(Element::text).unwrap_or_default(),
            subject: name.ok_or("it must name its subject (NameID)")?,
            begins_at: times(begins)?.into_iter().max(),
            ends_at: times(ends)?.into_iter().min().ok_or("it must say when it ends (NotOnOrAfter)")?,
            audiences: audiences.collect(),
            recipients: data.iter().filter_map(|one| one.attribute("Recipient")).map(str::to_owned).collect(),
        })
    }

    /// Says whether it is for a server: all that it says about whom it is for and where it may be brought must mean it, and it
    /// must say both (RFC 7522, section 3, 2 and 5).
    pub(super) fn is_for(&self, is_meant: impl Fn(&str) -> bool) -> bool {
        let has_ours = |restriction: &Vec<String>| restriction.iter().any(|one| is_meant(one));
        !self.audiences.is_empty()
            && self.audiences.iter().all(has_ours)
            && self.recipients.iter().any(|recipient| is_meant(recipient))
    }
}

fn times<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Vec<Timestamp>, String> {
    texts.map(|text| from_rfc3339(text).ok_or_else(|| format!("{text:.40} is no time"))).collect()
}
