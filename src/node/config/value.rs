//! The types that a configuration value can have, and how each is read from TOML or text and shown.

use std::net::IpAddr;

use ipnet::IpNet;
use portcullis_model::{Component, Components};
use toml::de::DeValue;

use super::key::closest;

/// A value as it came.
#[derive(Clone, Copy, Debug)]
pub(super) enum Raw<'a, 'i> {
    /// From the file.
    Toml(&'a DeValue<'i>),
    /// From the environment or a flag.
    Text(&'a str),
}

impl<'a> Raw<'a, '_> {
    /// Returns the text of a string.
    fn text(self) -> Option<&'a str> {
        match self {
            Self::Toml(value) => value.as_str(),
            Self::Text(text) => Some(text.trim()),
        }
    }

    /// Returns the words of a list: of an array of strings, or of a text with commas between them.
    fn words(self) -> Option<Vec<&'a str>> {
        match self {
            Self::Toml(DeValue::Array(items)) => items.iter().map(|item| item.get_ref().as_str()).collect(),
            _ => Some(self.text()?.split(',').map(str::trim).filter(|word| !word.is_empty()).collect()),
        }
    }

    /// Returns a whole number that is not negative.
    fn number(self) -> Option<u64> {
        match self {
            Self::Toml(value) => {
                let number = value.as_integer()?;
                u64::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok()
            }
            Self::Text(text) => text.trim().parse().ok(),
        }
    }
}

/// A type of value.
pub(super) trait Setting: Sized {
    /// Reads a value; `None` where it is of another type.
    fn read(raw: Raw<'_, '_>) -> Option<Self>;
    /// Shows it as TOML.
    fn as_toml(&self) -> String;
    /// Returns what was most likely meant by a value that cannot be read, where that can be guessed.
    fn meant(_raw: Raw<'_, '_>) -> Option<String> {
        None
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

impl Setting for String {
    fn read(raw: Raw<'_, '_>) -> Option<Self> {
        raw.text().map(str::to_owned)
    }

    fn as_toml(&self) -> String {
        quoted(self)
    }
}

impl Setting for u64 {
    fn read(raw: Raw<'_, '_>) -> Option<Self> {
        raw.number()
    }

    fn as_toml(&self) -> String {
        self.to_string()
    }
}

impl Setting for u16 {
    fn read(raw: Raw<'_, '_>) -> Option<Self> {
        raw.number().and_then(|number| Self::try_from(number).ok())
    }

    fn as_toml(&self) -> String {
        self.to_string()
    }
}

impl Setting for IpAddr {
    fn read(raw: Raw<'_, '_>) -> Option<Self> {
        raw.text()?.parse().ok()
    }

    fn as_toml(&self) -> String {
        quoted(&self.to_string())
    }
}

impl Setting for bool {
    fn read(raw: Raw<'_, '_>) -> Option<Self> {
        match raw {
            Raw::Toml(value) => value.as_bool(),
            Raw::Text(text) => text.trim().parse().ok(),
        }
    }

    fn as_toml(&self) -> String {
        self.to_string()
    }
}

/// Networks: a list of texts, or one text with commas. An address is a network of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(pub Vec<IpNet>);

impl Setting for Networks {
    fn read(raw: Raw<'_, '_>) -> Option<Self> {
        let network = |text: &str| text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        let networks: Option<Vec<IpNet>> = match raw {
            Raw::Toml(DeValue::Array(items)) => items.iter().map(|item| network(item.get_ref().as_str()?)).collect(),
            _ => raw.text()?.split(',').map(str::trim).filter(|text| !text.is_empty()).map(network).collect(),
        };
        networks.map(Self)
    }

    fn as_toml(&self) -> String {
        let networks: Vec<String> = self.0.iter().map(|network| quoted(&network.to_string())).collect();
        format!("[{}]", networks.join(", "))
    }
}

/// Names: a list of texts, or one text with commas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(pub Vec<String>);

impl Setting for Names {
    fn read(raw: Raw<'_, '_>) -> Option<Self> {
        Some(Self(raw.words()?.into_iter().map(str::to_owned).collect()))
    }

    fn as_toml(&self) -> String {
        let names: Vec<String> = self.0.iter().map(|name| quoted(name)).collect();
        format!("[{}]", names.join(", "))
    }
}

/// Pairs, written NAME=VALUE: a list of texts, or one text with commas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairs(pub Vec<(String, String)>);

impl Setting for Pairs {
    fn read(raw: Raw<'_, '_>) -> Option<Self> {
        let pair = |word: &str| {
            let (name, value) = word.rsplit_once('=')?;
            let is_pair = !name.trim().is_empty() && !value.trim().is_empty();
            is_pair.then(|| (name.trim().to_owned(), value.trim().to_owned()))
        };
        raw.words()?.into_iter().map(pair).collect::<Option<Vec<_>>>().map(Self)
    }

    fn as_toml(&self) -> String {
        let pairs: Vec<String> = self.0.iter().map(|(name, value)| quoted(&format!("{name}={value}"))).collect();
        format!("[{}]", pairs.join(", "))
    }
}

/// A part of a whole, from 0 to 1, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ratio(u32);

impl Ratio {
    /// The whole.
    pub const ONE: Self = Self(1_000_000);

    /// Returns how many of a million it is.
    #[must_use]
    pub fn per_million(self) -> u32 {
        self.0
    }

    /// Reads `0.05`, `1` or `1.0`.
    fn of_text(text: &str) -> Option<Self> {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let is_number = part.len() <= 6 && part.bytes().all(|digit| digit.is_ascii_digit());
        let part: u32 = format!("{part:0<6}").parse().ok().filter(|_| is_number)?;
        match whole {
            "0" => Some(Self(part)),
            "1" if part == 0 => Some(Self::ONE),
            _ => None,
        }
    }
}

impl Setting for Ratio {
    fn read(raw: Raw<'_, '_>) -> Option<Self> {
        match raw {
            Raw::Toml(DeValue::Float(number)) => Self::of_text(number.as_str()),
            Raw::Toml(DeValue::Integer(number)) => Self::of_text(number.as_str()),
            Raw::Toml(_) => None,
            Raw::Text(text) => Self::of_text(text.trim()),
        }
    }

    fn as_toml(&self) -> String {
        let text = format!("{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000);
        let short = text.trim_end_matches('0');
        if short.ends_with('.') { format!("{short}0") } else { short.to_owned() }
    }
}

/// An empty text means none.
impl<T: Setting> Setting for Option<T> {
    fn read(raw: Raw<'_, '_>) -> Option<Self> {
        if raw.text().is_some_and(str::is_empty) { Some(None) } else { T::read(raw).map(Some) }
    }

    fn as_toml(&self) -> String {
        self.as_ref().map_or_else(|| quoted(""), Setting::as_toml)
    }
}

/// A list of names; an empty one means all.
impl Setting for Components {
    fn read(raw: Raw<'_, '_>) -> Option<Self> {
        let named: Option<Vec<Component>> = raw.words()?.into_iter().map(Component::of_name).collect();
        named.map(Self::of)
    }

    fn as_toml(&self) -> String {
        let names: Vec<String> = self.to_record().iter().map(|name| quoted(name)).collect();
        format!("[{}]", names.join(", "))
    }

    fn meant(raw: Raw<'_, '_>) -> Option<String> {
        let wrong = raw.words()?.into_iter().find(|word| Component::of_name(word).is_none())?;
        let known = Component::ALL.iter().map(|component| component.name().to_owned());
        closest(&wrong.to_lowercase().replace([' ', '_'], "-"), known).map(|name| quoted(&name))
    }
}

macro_rules! words {
    ($($(#[$doc:meta])* $Type:ident { $($(#[$variant_doc:meta])* $Variant:ident = $word:literal),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $Type { $($(#[$variant_doc])* $Variant),+ }

        impl Setting for $Type {
            fn read(raw: Raw<'_, '_>) -> Option<Self> {
                match raw.text()? { $($word => Some(Self::$Variant),)+ _ => None }
            }

            fn as_toml(&self) -> String {
                quoted(match self { $(Self::$Variant => $word),+ })
            }
        }
    )+};
}

words! {
    /// The form of a log line.
    LogFormat {
        /// For people.
        Human = "human",
        /// One JSON object per line.
        Json = "json",
    }
    /// The form of a line of the access log.
    AccessLogForm {
        /// The Common Log Format.
        Common = "common",
        /// That with referrer and user agent.
        Combined = "combined",
        /// One JSON object.
        Json = "json",
    }
    /// What a gateway does whose state may be old.
    FreshnessMode {
        /// It serves by what it has.
        ServeStale = "serve-stale",
        /// It stops serving protected APIs.
        Strict = "strict",
    }
    /// How other nodes' key managers are asked about keys.
    KeyValidatorClient {
        /// By HTTP between nodes.
        Http = "http",
        /// By Thrift.
        Thrift = "thrift",
    }
    /// What tokens are signed with.
    SigningAlgorithm {
        /// ECDSA with P-256.
        Es256 = "ES256",
        /// RSA, for readers that know nothing newer.
        Rs256 = "RS256",
        /// Ed25519.
        EdDsa = "EdDSA",
    }
    /// What happens to a request whose quota cannot be had for want of a majority.
    OnNoQuorum {
        /// It is refused.
        Deny = "deny",
        /// It passes, and is counted.
        Allow = "allow",
    }
}
