//! In which country an address is, by a file of MaxMind's form (MaxMind DB 2.0) that the operator brings. It is held in
//! memory, and read again when it has changed.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use maxminddb::Reader;
use portcullis_model::country::Country;
use portcullis_model::port::Countries;
use serde::Deserialize;
use tracing::{info, warn};

/// Bytes of a file: several times what the largest of those files have.
const FILE_BYTES_MAX: u64 = 1 << 30;
/// How often is looked whether the file has changed.
const LOOK_PAUSE: Duration = Duration::from_secs(10);

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CountryFileFault {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// It is too large.
    #[error("it has more than {FILE_BYTES_MAX} bytes")]
    TooLarge,
    /// It is of another form.
    #[error("it is no MaxMind DB file: {0}")]
    Form(#[from] maxminddb::MaxMindDbError),
}

/// The countries of addresses.
pub struct CountryFile {
    file: PathBuf,
    reader: ArcSwap<Reader<Vec<u8>>>,
}

/// What a file says of an address, as far as it is read here.
#[derive(Deserialize)]
struct Place<'a> {
    /// Where the address is used.
    #[serde(borrow, default)]
    country: Option<Code<'a>>,
    /// Where its network is registered.
    #[serde(borrow, default)]
    registered_country: Option<Code<'a>>,
}

#[derive(Deserialize)]
struct Code<'a> {
    #[serde(borrow, default)]
    iso_code: Option<&'a str>,
}

impl CountryFile {
    /// Reads a file.
    ///
    /// # Errors
    /// Where it cannot be read, or has no such form.
    pub fn open(file: &Path) -> Result<Arc<Self>, CountryFileFault> {
        let reader = read(file)?;
        info!(file = %file.display(), built = reader.metadata().build_epoch, "countries of addresses are known");
        Ok(Arc::new(Self { file: file.to_owned(), reader: ArcSwap::from_pointee(reader) }))
    }

    /// Reads the file again whenever it has changed, until the task that runs it ends. One that cannot be used leaves
    /// what was known.
    pub async fn follow(self: Arc<Self>) {
        let mut known = changed_at(&self.file);
        loop {
            tokio::time::sleep(LOOK_PAUSE).await;
            let now = changed_at(&self.file);
            if now == known || now.is_none() {
                continue;
            }
            known = now;
            let file = self.file.clone();
            match tokio::task::spawn_blocking(move || read(&file)).await {
                Ok(Ok(reader)) => {
                    info!(file = %self.file.display(), built = reader.metadata().build_epoch, "countries were read again");
                    self.reader.store(Arc::new(reader));
                }
                Ok(Err(fault)) => {
                    warn!(file = %self.file.display(), %fault, "countries are told by the file as it was before");
                }
                Err(fault) => warn!(%fault, "countries were not read again"),
            }
        }
    }
}

impl Countries for CountryFile {
    fn country_of(&self, address: IpAddr) -> Country {
        let reader = self.reader.load();
        let place = reader.lookup(address).ok().and_then(|found| found.decode::<Place<'_>>().ok().flatten());
        let code = place.and_then(|place| {
            let of = |country: Option<Code<'_>>| country.and_then(|country| Country::of_code(country.iso_code?));
            of(place.country).or_else(|| of(place.registered_country))
        });
        code.unwrap_or(Country::UNKNOWN)
    }
}

fn changed_at(file: &Path) -> Option<SystemTime> {
    std::fs::metadata(file).and_then(|about| about.modified()).ok()
}

fn read(file: &Path) -> Result<Reader<Vec<u8>>, CountryFileFault> {
    if std::fs::metadata(file)?.len() > FILE_BYTES_MAX {
        return Err(CountryFileFault::TooLarge);
    }
    Ok(Reader::from_source(std::fs::read(file)?)?)
}
