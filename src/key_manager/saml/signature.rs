//! The profile of XML Signature (W3C, 2013) that assertions are signed in (SAML 2.0 core, section 5.4): one signature, enveloped,
//! over the assertion alone, in exclusive canonical form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_jose::{Algorithm, Jwk};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::canonical::{self, Scope};
use super::xml::{self, Element};

/// The namespace of assertions.
pub(super) const SAML: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
/// The namespace of signatures.
const DSIG: &str = "http://www.w3.org/2000/09/xmldsig#";
const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
/// Prefixes in one list.
const PREFIXES_MAX: usize = 32;

/// A document that says it is signed.
#[derive(Debug)]
pub(super) struct Signed {
    /// Who says to have signed it; nobody may believe it yet.
    pub(super) issuer: String,
    algorithm: Algorithm,
    /// What was signed: the canonical form of what names the assertion's digest.
    signed: String,
    signature: Vec<u8>,
    /// The canonical form of the assertion without its signature. Its digest is the one that was signed.
    content: String,
}

impl Signed {
    /// Returns the assertion, in canonical form, where one of the keys signed it.
    pub(super) fn verify(self, keys: &[Jwk]) -> Option<String> {
        let has_signed = |key: &Jwk| {
            let key = key.public_key(self.algorithm)?;
            key.has_signed(self.signed.as_bytes(), &self.signature).then_some(())
        };
        keys.iter().find_map(has_signed).map(|()| self.content)
    }
}

/// Reads a document, and checks all of its signature but by whom it is.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(document: &str) -> Result<Signed, String> {
    let root = xml::parse(document)?;
    if root.local != "Assertion" || namespace(&root, &root) != Some(SAML) {
        return Err("it is no assertion of SAML 2.0".to_owned());
    }
    let signature = root.only("Signature").ok_or("it must have one signature")?;
    let info = signature.only("SignedInfo").ok_or("the signature must have one SignedInfo")?;
    let scope: Scope = root.namespaces.iter().chain(&signature.namespaces).cloned().collect();
    let signed = canonical::write(info, &scope, &prefixes(info.only("CanonicalizationMethod"))?, &|_| false)?;
    // From here on only what was signed is looked at.
    let info = xml::parse(&signed)?;
    if info.namespaces.iter().all(|(_, uri)| uri != DSIG) {
        return Err("its signature is none of XML Signature".to_owned());
    }
    if method(&info, "CanonicalizationMethod")? != EXCLUSIVE {
        return Err(format!("it must be in the form {EXCLUSIVE}"));
    }
    let algorithm = algorithm_of(method(&info, "SignatureMethod")?)?;
    let reference = info.only("Reference").ok_or("the signature must be over one thing")?;
    let id = root.attribute("ID").filter(|id| !id.is_empty()).ok_or("it must have an ID")?;
    if reference.attribute("URI").and_then(|uri| uri.strip_prefix('#')) != Some(id) {
        return Err("the signature must be over the assertion that it is in".to_owned());
    }
    let content =
        canonical::write(&root, &Scope::new(), &transforms(reference)?, &|element| std::ptr::eq(element, signature))?;
    let digest = base64_of(reference.only("DigestValue"), "DigestValue")?;
    if digest_of(method(reference, "DigestMethod")?, content.as_bytes())? != digest {
        return Err("it is not what was signed".to_owned());
    }
    let issuer = root.only("Issuer").and_then(Element::text).ok_or("it must have one issuer")?;
    let signature = base64_of(signature.only("SignatureValue"), "SignatureValue")?;
    Ok(Signed { issuer, algorithm, signed, signature, content })
}

/// Returns the namespace of an element by what it or `root` declares.
fn namespace<'a>(element: &'a Element, root: &'a Element) -> Option<&'a str> {
    element.declared(&element.prefix).or_else(|| root.declared(&element.prefix))
}

fn method<'a>(parent: &'a Element, name: &str) -> Result<&'a str, String> {
    let found = parent.only(name).and_then(|method| method.attribute("Algorithm"));
    found.ok_or_else(|| format!("it must name one {name}"))
}

/// Returns the prefixes that a method or transform names (`InclusiveNamespaces`).
fn prefixes(method: Option<&Element>) -> Result<Vec<String>, String> {
    let list =
        method.and_then(|method| method.only("InclusiveNamespaces")).and_then(|named| named.attribute("PrefixList"));
    let named: Vec<String> = list.unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    if named.len() > PREFIXES_MAX { Err(format!("it names more than {PREFIXES_MAX} prefixes")) } else { Ok(named) }
}

/// Checks the transforms: the signature is left out, then comes the canonical form. Returns the prefixes that this names.
fn transforms(reference: &Element) -> Result<Vec<String>, String> {
    let transforms: Vec<&Element> = reference.only("Transforms").into_iter().flat_map(Element::elements).collect();
    let named: Vec<Option<&str>> = transforms.iter().map(|one| one.attribute("Algorithm")).collect();
    if named != [Some(ENVELOPED), Some(EXCLUSIVE)] {
        return Err(format!("its transforms must be {ENVELOPED} and {EXCLUSIVE}"));
    }
    prefixes(transforms.last().copied())
}

/// SHA-1 is not among them: others can make documents of the same digest.
fn algorithm_of(uri: &str) -> Result<Algorithm, String> {
    match uri {
        "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256" => Ok(Algorithm::Rs256),
        "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256" => Ok(Algorithm::Es256),
        "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384" => Ok(Algorithm::Es384),
        "http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1" => Ok(Algorithm::Ps256),
        other => Err(format!("it must be signed by RSA or ECDSA with SHA-256, not {}", shortened(other))),
    }
}

fn digest_of(uri: &str, content: &[u8]) -> Result<Vec<u8>, String> {
    match uri {
        "http://www.w3.org/2001/04/xmlenc#sha256" => Ok(Sha256::digest(content).to_vec()),
        "http://www.w3.org/2001/04/xmldsig-more#sha384" => Ok(Sha384::digest(content).to_vec()),
        "http://www.w3.org/2001/04/xmlenc#sha512" => Ok(Sha512::digest(content).to_vec()),
        other => Err(format!("its digest must be SHA-256, not {}", shortened(other))),
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}

fn base64_of(element: Option<&Element>, name: &str) -> Result<Vec<u8>, String> {
    let text = element.and_then(Element::text).ok_or_else(|| format!("it must have one {name}"))?;
    let packed: String = text.split_whitespace().collect();
    STANDARD.decode(packed).map_err(|_| format!("{name} must be base64"))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Signed by another implementation (signxml, over libxml2).
    const RSA: &str = include_str!("samples/rsa.xml");
    const EC: &str = include_str!("samples/ec.xml");

    fn keys() -> [Vec<Jwk>; 2] {
        [include_str!("samples/rsa.json"), include_str!("samples/ec.json")]
            .map(|text| vec![serde_json::from_str(text).unwrap()])
    }

    #[test]
    fn what_another_implementation_signed_is_believed_with_its_key_alone() {
        let [rsa, ec] = keys();
        for (document, own, other) in [(RSA, &rsa, &ec), (EC, &ec, &rsa)] {
            let signed = || read(document).unwrap();
            assert_eq!(signed().issuer, "https://idp.example");
            let believed = signed().verify(own).unwrap();
            assert!(believed.contains(">admin</saml2:NameID>") && !believed.contains("Signature"), "{believed}");
            assert!(signed().verify(other).is_none() && signed().verify(&[]).is_none());
        }
    }

    #[test]
    fn what_was_changed_is_not_believed() {
        let [rsa, _] = keys();
        for (what, with) in [(">admin<", ">root<"), ("2026-11-26T12:10", "2036-11-26T12:10"), ("a &amp; b", "a & b")] {
            assert!(RSA.contains(what));
            read(&RSA.replace(what, with)).unwrap_err();
        }
        // With the digest of what it became, it is not what was signed.
        let changed = RSA.replace(">admin<", ">root<");
        let start = changed.find("<ds:DigestValue>").unwrap() + "<ds:DigestValue>".len();
        let root = xml::parse(&changed).unwrap();
        let signature = root.only("Signature").unwrap();
        let content = canonical::write(&root, &Scope::new(), &[], &|one| std::ptr::eq(one, signature)).unwrap();
        let digest = STANDARD.encode(Sha256::digest(content));
        let forged = format!("{}{digest}{}", &changed[..start], &changed[start + digest.len()..]);
        assert!(read(&forged).unwrap().verify(&rsa).is_none());
    }

    #[test]
    fn a_signature_over_something_else_proves_nothing() {
        let inner = RSA.trim();
        let signature = &inner[inner.find("<ds:Signature").unwrap()..inner.find("</ds:Signature>").unwrap() + 15];
        let wrap = |id: &str, before: &str, after: &str| {
            format!(
                "<saml2:Assertion xmlns:saml2=\"{SAML}\" ID=\"{id}\">{before}<saml2:Issuer>https://idp.example</saml2:Issuer>\
                     <saml2:Subject><saml2:NameID>root</saml2:NameID></saml2:Subject>{after}</saml2:Assertion>"
            )
        };
        for wrapped in [
            wrap("_evil", signature, &format!("<saml2:Advice>{inner}</saml2:Advice>")),
            wrap("_a1", signature, &format!("<saml2:Advice>{inner}</saml2:Advice>")),
            wrap("_a1", &format!("{signature}{signature}"), ""),
            wrap("_a1", "", inner),
            format!("<samlp:Response xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\">{inner}</samlp:Response>"),
            inner.replace("xmldsig-more#rsa-sha256", "xmldsig#rsa-sha1"),
            inner.replace("xmlenc#sha256", "xmldsig#sha1"),
            inner.replace("xmldsig#enveloped-signature", "xmldsig#base64"),
            inner.replace("URI=\"#_a1\"", "URI=\"\""),
        ] {
            read(&wrapped).unwrap_err();
        }
    }
}
