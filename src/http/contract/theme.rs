//! Themes as Admin and Publisher both have them: archives with the look of a developer portal, of which one is a draft and
//! one is published. Nothing of an archive is executed or served by itself.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_model::asset::Asset;
use portcullis_model::{AssetId, Refused};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::look::Look;
use crate::error::ApiError;
use crate::multipart::MultipartForm;
use crate::zip::{self, Files};

/// The name of the asset that keeps the theme of a tenant, which is neither draft nor published by the contract.
pub const TENANT_THEME: &str = "tenant theme";
/// Bytes of an archive.
pub const ARCHIVE_BYTES_MAX: usize = 512 << 10;
const FILES_MAX: usize = 200;
/// Bytes of the files of an archive, unpacked.
const UNPACKED_BYTES_MAX: usize = 8 << 20;
/// How names of files may end. Scripts are not among them.
const ENDS: [&str; 18] = [
    "css", "eot", "gif", "hbs", "html", "ico", "jpeg", "jpg", "json", "md", "otf", "png", "svg", "ttf", "txt", "webp",
    "woff", "woff2",
];

/// What is kept of a theme in an asset's document; the archive is the asset's content, in base64.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    #[serde(default)]
    is_published: bool,
    #[serde(default)]
    look: Look,
}

/// A theme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Theme {
    /// The id.
    pub id: AssetId,
    /// The name of the asset that keeps it.
    pub name: String,
    /// Whether it is in force, or a draft.
    pub is_published: bool,
    /// What pages take over of it.
    pub look: Look,
    /// The archive, in base64.
    pub content: String,
}

/// What is done to the assets of a portal, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Puts a theme in the place of the one with its id.
    Replace(Theme),
    /// Deletes a theme.
    Delete(AssetId),
}

impl Theme {
    /// Returns the theme of an asset; `None` where what is kept is none that is understood.
    #[must_use]
    pub fn of(asset: &Asset) -> Option<Self> {
        let kept: Kept = serde_json::from_str(&asset.document).ok()?;
        let (name, content) = (asset.name.clone(), asset.content.clone());
        Some(Self { id: asset.id, name, is_published: kept.is_published, look: kept.look, content })
    }

    /// Returns the document of the asset that keeps it.
    #[must_use]
    pub fn document(&self) -> String {
        json!(Kept { is_published: self.is_published, look: self.look.clone() }).to_string()
    }

    /// Makes a theme without content.
    #[must_use]
    pub fn new(id: AssetId, is_published: bool) -> Self {
        Self { id, name: id.to_string(), is_published, look: Look::default(), content: String::new() }
    }

    /// Puts an archive into it.
    #[must_use]
    pub fn with(self, archive: Archive) -> Self {
        Self { look: archive.look, content: archive.content, ..self }
    }

    /// Writes what lists show.
    #[must_use]
    pub fn write(&self) -> Value {
        json!({"id": self.id.to_string(), "published": self.is_published})
    }

    /// Returns the archive; empty where what is kept is none.
    #[must_use]
    pub fn archive(&self) -> Vec<u8> {
        STANDARD.decode(&self.content).unwrap_or_default()
    }
}

/// An archive that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// What pages take over of it.
    look: Look,
    /// In base64.
    content: String,
}

/// Reads the archive of a form's part `file`.
///
/// # Errors
/// 400 where it is none that is accepted, 413 where it is too large.
pub fn read(form: &MultipartForm) -> Result<Archive, ApiError> {
    read_file(&form.part("file")?.bytes)
}

/// Reads an archive.
///
/// # Errors
/// As [`read`].
pub fn read_file(archive: &[u8]) -> Result<Archive, ApiError> {
    if archive.len() > ARCHIVE_BYTES_MAX {
        let reason = format!("The archive has {} bytes; at most {ARCHIVE_BYTES_MAX} are accepted.", archive.len());
        return Err(ApiError::too_large(reason));
    }
    let refuse = |reason: String| ApiError::bad_request(format!("file: {reason}"));
    let files = zip::read_within(archive, UNPACKED_BYTES_MAX).map_err(refuse)?;
    check(&files).map_err(refuse)?;
    Ok(Archive { look: Look::of(&files), content: STANDARD.encode(archive) })
}

fn check(files: &Files) -> Result<(), String> {
    if files.is_empty() || files.len() > FILES_MAX {
        return Err(format!("it has {} files; 1 to {FILES_MAX} are accepted", files.len()));
    }
    let has_known_end = |name: &str| {
        let end = name.rsplit('/').next().unwrap_or_default().rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase());
        end.is_some_and(|end| ENDS.contains(&end.as_str()))
    };
    match files.keys().find(|name| !has_known_end(name)) {
        Some(name) => Err(format!("{name} is of a kind that a theme has not; accepted are {}", ENDS.join(", "))),
        None => Ok(()),
    }
}

/// Says what is published and what is not, by the contract's `action`.
///
/// # Errors
/// 400 for another word.
pub fn is_published_by(action: &str) -> Result<bool, ApiError> {
    match action {
        "PUBLISH" => Ok(true),
        "UNPUBLISH" => Ok(false),
        other => Err(ApiError::bad_request(format!("action: is `{other}`; PUBLISH and UNPUBLISH are possible"))),
    }
}

/// Returns what makes a theme of a portal the published one, or a draft again: the one that was published before goes.
///
/// # Errors
/// Where there is no such theme, or a draft would be lost.
pub fn change_status(all: &[Theme], id: &str, is_published: bool) -> Result<Vec<Step>, Refused> {
    let theme = all.iter().find(|theme| theme.id.to_string() == id).ok_or_else(|| Refused::not_found("theme", id))?;
    let is_changed = theme.is_published != is_published;
    let others = || all.iter().filter(|other| other.id != theme.id);
    if is_changed && !is_published && others().any(|other| !other.is_published) {
        let reason = "there is a draft already: publish it, or delete it first";
        return Err(Refused::invalid("action", reason));
    }
    // In this order: at no time is nothing published. What broke off after the first step goes on with the others.
    let mut steps = Vec::new();
    if is_changed {
        steps.push(Step::Replace(Theme { is_published, ..theme.clone() }));
    }
    steps.extend(others().filter(|other| other.is_published && is_published).map(|other| Step::Delete(other.id)));
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::multipart::FormPart;

    fn theme(number: u8, is_published: bool) -> Theme {
        Theme::new(AssetId::from_random([number; 16]), is_published)
    }

    #[test]
    fn one_is_published_and_a_draft_is_not_lost() {
        let all = [theme(1, true), theme(2, false)];
        let id = |number: usize| all[number].id.to_string();
        let published = Theme { is_published: true, ..all[1].clone() };
        let steps = change_status(&all, &id(1), true).unwrap();
        assert_eq!(steps, [Step::Replace(published), Step::Delete(all[0].id)]);
        assert_eq!(change_status(&all, &id(0), true).unwrap(), []);
        // A publication that broke off left two that are published: the other one goes.
        let both = [theme(1, true), theme(2, true)];
        assert_eq!(change_status(&both, &id(1), true).unwrap(), [Step::Delete(both[0].id)]);
        assert_eq!(change_status(&all, &id(1), false).unwrap(), []);
        assert!(matches!(change_status(&all, &id(0), false), Err(Refused::Invalid { .. })));
        assert_eq!(change_status(&all[..1], &id(0), false).unwrap().len(), 1);
        assert!(matches!(change_status(&all[..1], &id(1), true), Err(Refused::NotFound { .. })));
    }

    #[test]
    fn archives_with_scripts_or_without_files_are_refused() {
        let read_files = |files: &[(&str, usize)]| {
            let files: Files = files.iter().map(|(name, size)| ((*name).to_owned(), vec![0; *size])).collect();
            let part = FormPart { bytes: zip::write(&files).unwrap().into(), ..FormPart::default() };
            read(&MultipartForm { fields: [("file".to_owned(), part)].into() })
        };
        assert!(read_files(&[("look/userTheme.json", 10), ("look/logo.PNG", 10)]).is_ok());
        for bad in [&[][..], &[("a.js", 1)], &[("css", 1)], &[("a.css", UNPACKED_BYTES_MAX + 1)]] {
            assert_eq!(read_files(bad).unwrap_err().status(), 400, "{bad:?}");
        }
        assert!(read(&MultipartForm::default()).is_err());
    }

    #[test]
    fn an_archive_that_is_too_large_is_not_unpacked() {
        let files = Files::from([("a.css".to_owned(), vec![0; UNPACKED_BYTES_MAX + 1])]);
        let mut archive = zip::write(&files).unwrap();
        // The first byte of the content, behind a head of 30 bytes and the name: unpacked, it would be damaged.
        archive[30 + "a.css".len()] ^= 0xff;
        let part = FormPart { bytes: archive.into(), ..FormPart::default() };
        let refused = read(&MultipartForm { fields: [("file".to_owned(), part)].into() }).unwrap_err();
        assert!(format!("{refused:?}").contains("more than 8388608 bytes"), "{refused:?}");
    }
}
