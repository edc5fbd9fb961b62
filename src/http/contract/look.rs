//! What pages take over of a theme: an accent and a logo, from the file `userTheme.json` of the original's themes. Nothing
//! else of a theme gets into a page: its styles could hide or fake what a page says.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::zip::Files;

/// The file that says how the original's portals look.
const FILE: &str = "userTheme.json";
/// Bytes of a logo.
const LOGO_BYTES_MAX: usize = 64 << 10;
/// Pictures that can be a logo, by how names end. Those that are documents of their own are not among them.
const LOGOS: [(&str, &str); 5] =
    [("gif", "image/gif"), ("jpeg", "image/jpeg"), ("jpg", "image/jpeg"), ("png", "image/png"), ("webp", "image/webp")];
/// Contrast of links with the ground (WCAG 2.2, level AA).
const CONTRAST_MIN: f64 = 4.5;
/// The grounds of pages, light and dark.
const GROUNDS: [Colour; 2] = [Colour([0xff, 0xff, 0xff]), Colour([0x0e, 0x11, 0x16])];

/// A colour: red, green and blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Colour([u8; 3]);

/// A picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Logo {
    media_type: String,
    /// In base64.
    content: String,
}

/// What pages take over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// The colour of links and buttons.
    #[serde(default)]
    pub accent: Option<Colour>,
    /// The picture beside the name.
    #[serde(default)]
    pub logo: Option<Logo>,
}

impl Look {
    /// Finds in a theme what pages take over: `palette.primary.main`, a colour `#rrggbb` or `#rgb`, and
    /// `custom.appBar.logo`, a picture of the archive by the end of its path.
    #[must_use]
    pub fn of(files: &Files) -> Self {
        let found = files.iter().find(|(name, _)| name.rsplit('/').next() == Some(FILE));
        let theme: Value = found.and_then(|(_, text)| serde_json::from_slice(text).ok()).unwrap_or_default();
        Self {
            accent: theme["palette"]["primary"]["main"].as_str().and_then(Colour::parse),
            logo: theme["custom"]["appBar"]["logo"].as_str().and_then(|path| Logo::find(files, path)),
        }
    }

    /// Says whether there is nothing to take over.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Writes the style sheet that is laid over that of the pages; `logo` is where the logo is. The accent is made darker
    /// or lighter until links can be read.
    #[must_use]
    pub fn style(&self, logo: &str) -> String {
        let mut style = String::new();
        if let Some(accent) = self.accent {
            let [light, dark] = GROUNDS.map(|ground| accent.readable_on(ground).text());
            let [on_light, on_dark] = GROUNDS.map(Colour::text);
            style.push_str(&format!(
                ":root {{\n  --accent: light-dark({light}, {dark});\n  --on-accent: light-dark({on_light}, {on_dark});\n  \
                 --tint: color-mix(in srgb, var(--accent) 12%, var(--ground));\n}}\n"
            ));
        }
        if self.logo.is_some() {
            style.push_str(&format!(
                ".brand::before {{ width: 2rem; height: 2rem; background: center / contain no-repeat url(\"{logo}\"); }}\n"
            ));
        }
        style
    }
}

impl Logo {
    fn find(files: &Files, path: &str) -> Option<Self> {
        let end = path.rsplit_once('.')?.1.to_ascii_lowercase();
        let (_, media_type) = LOGOS.iter().find(|(known, _)| *known == end)?;
        let path = path.trim_start_matches('/');
        let is_meant = |name: &str| name == path || name.ends_with(&format!("/{path}"));
        // The original's themes name the path at which the portal has the file, of which the archive has the end.
        let is_last = |name: &str| name.rsplit('/').next() == path.rsplit('/').next();
        let found =
            files.iter().find(|(name, _)| is_meant(name)).or_else(|| files.iter().find(|(name, _)| is_last(name)));
        let (_, content) = found.filter(|(_, content)| content.len() <= LOGO_BYTES_MAX)?;
        Some(Self { media_type: (*media_type).to_owned(), content: STANDARD.encode(content) })
    }

    /// Returns the media type, one of pictures, and the content.
    #[must_use]
    pub fn picture(&self) -> (&'static str, Vec<u8>) {
        let known = LOGOS.iter().find(|(_, media_type)| *media_type == self.media_type);
        (
            known.map_or("application/octet-stream", |(_, media_type)| media_type),
            STANDARD.decode(&self.content).unwrap_or_default(),
        )
    }
}

impl Colour {
    fn parse(text: &str) -> Option<Self> {
        let digits = text.trim().strip_prefix('#')?;
        let wide = match digits.len() {
            3 => digits.chars().flat_map(|digit| [digit, digit]).collect(),
            6 => digits.to_owned(),
            _ => return None,
        };
        let part = |at: usize| wide.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
        digits.bytes().all(|one| one.is_ascii_hexdigit()).then_some(())?;
        Some(Self([part(0)?, part(2)?, part(4)?]))
    }

    /// Writes it as `#rrggbb`.
    #[must_use]
    pub fn text(self) -> String {
        let [red, green, blue] = self.0;
        format!("#{red:02x}{green:02x}{blue:02x}")
    }

    /// Returns how bright it is, 0 to 1 (WCAG 2.2, relative luminance).
    fn luminance(self) -> f64 {
        let part = |value: u8| {
            let value = f64::from(value) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        let [red, green, blue] = self.0.map(part);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    fn contrast(self, other: Self) -> f64 {
        let (one, other) = (self.luminance(), other.luminance());
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    /// Moves it away from a ground, to black or white, as little as makes it readable there.
    fn readable_on(self, ground: Self) -> Self {
        let end: u16 = if ground.luminance() > 0.5 { 0 } else { 255 };
        let moved = |step: u16| {
            let part = |value: u8| u8::try_from((u16::from(value) * (32 - step) + end * step) / 32).unwrap_or(u8::MAX);
            Self(self.0.map(part))
        };
        (0..=32).map(moved).find(|colour| colour.contrast(ground) >= CONTRAST_MIN).unwrap_or_else(|| moved(32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(theme: &str, others: &[(&str, usize)]) -> Look {
        let mut files: Files = [("shop/userTheme.json".to_owned(), theme.as_bytes().to_vec())].into();
        files.extend(others.iter().map(|(name, size)| ((*name).to_owned(), vec![7; *size])));
        Look::of(&files)
    }

    #[test]
    fn accent_and_logo_are_taken_over_and_nothing_that_is_none() {
        let theme = |main: &str, logo: &str| {
            serde_json::json!({"palette": {"primary": {"main": main}}, "custom": {"appBar": {"logo": logo}}})
                .to_string()
        };
        let good = look(&theme("#15b8cf", "/site/public/images/logo.png"), &[("shop/images/logo.png", 3)]);
        assert_eq!(good.accent.map(Colour::text).as_deref(), Some("#15b8cf"));
        assert_eq!(good.logo.as_ref().map(Logo::picture), Some(("image/png", vec![7; 3])));
        let style = good.style("/logo");
        assert!(style.contains("url(\"/logo\")") && style.contains("--accent"), "{style}");
        for bad in ["red", "#12", "#12345g", "#ffffff; } body { display: none", "url(x)", "#\u{e9}\u{e9}x"] {
            let found = look(&theme(bad, "logo.svg"), &[("logo.svg", 3)]);
            assert!(found.is_empty() && found.style("x").is_empty(), "{bad}");
        }
        assert!(look(&theme("", "logo.png"), &[("logo.png", LOGO_BYTES_MAX + 1)]).is_empty());
        assert!(look("[]", &[]).is_empty());
    }

    #[test]
    fn whatever_the_accent_links_can_be_read() {
        for red in (0..=255).step_by(51) {
            for green in (0..=255).step_by(51) {
                for ground in GROUNDS {
                    let accent = Colour([red, green, 128]).readable_on(ground);
                    assert!(accent.contrast(ground) >= CONTRAST_MIN, "{} on {}", accent.text(), ground.text());
                }
            }
        }
        let dark = Colour([0, 0, 0]);
        assert_eq!(dark.readable_on(GROUNDS[0]), dark, "what can be read stays");
    }
}
