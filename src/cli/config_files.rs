//! The files that a configuration names, looked at before a node needs them. What is in a file is not shown.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use portcullis_node::config::{Config, KEYS, Key};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Bytes of a file that is read whole: bundles of authorities have less than one.
const BYTES_MAX: u64 = 4 << 20;
/// Where a database of MaxMind's form says what it is: in its last 128 KiB, behind this.
const COUNTRIES: &[u8] = b"\xab\xcd\xefMaxMind.com";
const COUNTRIES_TAIL: u64 = 128 << 10;

/// What was found, a line for each file.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Without these a node does not start.
    pub(super) faults: Vec<String>,
    /// Without these it starts, and passes them over.
    pub(super) passed_over: Vec<String>,
}

/// Looks at every file and directory that a configuration names.
pub(super) fn look(config: &Config) -> Findings {
    let mut findings = Findings::default();
    for key in KEYS.iter().filter(|key| key.name.ends_with("_file") || key.name == "certificates_dir") {
        let (name, place) = (key.path(), text_of(key, config));
        // What is logged there is written, not read.
        if place.is_empty() || key.name == "access_log_file" {
            continue;
        }
        let file = Path::new(&place);
        let looked = match key.name {
            "certificates_dir" => look_at_hosts(&name, file, &mut findings.passed_over),
            // It is not read where nothing is gathered.
            "country_file" if !config.statistics.enabled => Ok(()),
            "country_file" => check_countries(file),
            "backend_certificate_file" | "authorities_file" | "client_authorities_file" => check_certificates(file),
            "backend_key_file" => check_key(file),
            _ => check_first_line(file),
        };
        findings.faults.extend(looked.err().map(|why| line(&name, file, &why)));
    }
    findings
}

fn line(key: &str, file: &Path, why: &str) -> String {
    format!("{key}: {}: {why}", file.display())
}

/// Returns the text of a key whose value is one.
fn text_of(key: &Key, config: &Config) -> String {
    let table: Option<toml::Table> = toml::from_str(&format!("text = {}", (key.show)(config))).ok();
    table.and_then(|table| table.get("text")?.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Looks at the certificates of virtual hosts: a pair of files for each.
fn look_at_hosts(key: &str, directory: &Path, passed_over: &mut Vec<String>) -> Result<(), String> {
    let entries =
        fs::read_dir(directory).and_then(|all| all.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>());
    let mut files = entries.map_err(|error| error.to_string())?;
    files.retain(|file| file.extension().is_some_and(|end| end == "pem"));
    files.sort();
    for file in files {
        let beside = file.with_extension("key");
        let unusable = [(&file, check_certificates(&file)), (&beside, check_key(&beside))];
        passed_over.extend(unusable.into_iter().filter_map(|(file, looked)| Some(line(key, file, &looked.err()?))));
    }
    Ok(())
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut bytes));
    read.map_err(|error| error.to_string())?;
    match bytes.len() as u64 {
        0 => Err("it is empty".to_owned()),
        length if length > BYTES_MAX => Err(format!("it has more than {BYTES_MAX} bytes")),
        _ => Ok(bytes),
    }
}

fn check_certificates(file: &Path) -> Result<(), String> {
    let bytes = read(file)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    if all.is_ok_and(|all| !all.is_empty()) { Ok(()) } else { Err("it holds no certificate in PEM".to_owned()) }
}

fn check_key(file: &Path) -> Result<(), String> {
    PrivateKeyDer::from_pem_slice(&read(file)?).map(drop).map_err(|_| "it holds no private key in PEM".to_owned())
}

fn check_first_line(file: &Path) -> Result<(), String> {
    let bytes = read(file)?;
    let first = bytes.split(|byte| *byte == b'\n').next().and_then(|line| std::str::from_utf8(line).ok());
    if first.is_some_and(|line| !line.trim().is_empty()) {
        Ok(())
    } else {
        Err("its first line is empty, or not UTF-8".to_owned())
    }
}

fn check_countries(file: &Path) -> Result<(), String> {
    let tail = tail_of(file).map_err(|error| error.to_string())?;
    let is_there = tail.windows(COUNTRIES.len()).any(|window| window == COUNTRIES);
    if is_there { Ok(()) } else { Err("it is no database of countries of MaxMind's form".to_owned()) }
}

fn tail_of(file: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(file)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(COUNTRIES_TAIL)))?;
    let mut tail = Vec::new();
    file.take(COUNTRIES_TAIL).read_to_end(&mut tail)?;
    Ok(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(set: &[(&str, &Path)]) -> Config {
        let set: Vec<(String, String)> =
            set.iter().map(|(key, file)| ((*key).to_owned(), file.display().to_string())).collect();
        Config::from_layers(None, std::iter::empty(), &set).unwrap().config
    }

    #[test]
    fn each_file_that_cannot_be_used_is_told_in_a_line_of_its_own() {
        let place = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            fs::write(place.path().join(name), bytes).unwrap();
            place.path().join(name)
        };
        let missing = place.path().join("missing");
        let garbled = file("garbled", b"-----BEGIN CERTIFICATE-----\n%%%\n");
        let findings = look(&config(&[
            ("gateway.backend_certificate_file", &garbled),
            ("gateway.backend_key_file", &garbled),
            ("alerts.webhook_url_file", &missing),
            ("events.webhook_secret_file", &file("empty", b"")),
            ("assistant.token_file", &file("blank", b" \nsecret\n")),
            ("statistics.country_file", &garbled),
        ]));
        let all = findings.faults.join("\n");
        for told in [
            "gateway.backend_certificate_file: ",
            "garbled: it holds no certificate in PEM",
            "garbled: it holds no private key in PEM",
            "alerts.webhook_url_file: ",
            "missing: No such file",
            "empty: it is empty",
            "blank: its first line is empty",
            "statistics.country_file: ",
        ] {
            assert!(all.contains(told), "{told}: {all}");
        }
        assert_eq!((findings.faults.len(), findings.passed_over.len()), (6, 0), "{all}");
    }

    #[test]
    fn pairs_of_virtual_hosts_are_looked_at_one_by_one() {
        let place = tempfile::tempdir().unwrap();
        let pem = |what: &str| format!("-----BEGIN {what}-----\nAAAA\n-----END {what}-----\n");
        let all = [("good.pem", pem("CERTIFICATE")), ("good.key", pem("PRIVATE KEY")), ("bad.pem", "x".to_owned())];
        for (name, text) in all {
            fs::write(place.path().join(name), text).unwrap();
        }
        let findings = look(&config(&[("gateway.certificates_dir", place.path())]));
        let told: Vec<&str> = findings.passed_over.iter().filter_map(|line| line.rsplit('/').next()).collect();
        assert!(findings.faults.is_empty() && told.len() == 2, "{findings:?}");
        assert!(
            told[0].starts_with("bad.pem: it holds no certificate") && told[1].starts_with("bad.key: No such file")
        );
        let nowhere = look(&config(&[("gateway.certificates_dir", &place.path().join("nowhere"))]));
        assert_eq!(nowhere.faults.len(), 1, "{nowhere:?}");
    }
}
