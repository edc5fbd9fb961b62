//! What kind of program calls, by what it says of itself. Few kinds, so that they can be counted; nobody is identified.

use serde::{Deserialize, Serialize};

/// Bytes of a `User-Agent` that are looked at.
const LOOKED_AT_MAX: usize = 512;

macro_rules! families {
    ($($(#[$doc:meta])* $name:ident $text:literal [$($sign:literal),*];)*) => {
        /// A kind of program. The first whose sign is found counts.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum AgentFamily {
            /// It says nothing.
            #[default]
            None,
            $($(#[$doc])* $name,)*
            /// None of these.
            Other,
        }

        const SIGNS: &[(AgentFamily, &[&str])] = &[$((AgentFamily::$name, &[$($sign),*]),)*];

        impl AgentFamily {
            /// Returns its name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    Self::None => "(none)",
                    $(Self::$name => $text,)*
                    Self::Other => "other",
                }
            }
        }
    };
}

families! {
    /// Crawlers and previews.
    Bot "bot" ["bot", "crawler", "spider", "slurp"];
    /// Command line.
    Curl "curl" ["curl/"];
    /// Command line.
    Wget "Wget" ["wget/"];
    /// Tools for testing by hand.
    Postman "Postman" ["postman"];
    /// Tools for testing by hand.
    Insomnia "Insomnia" ["insomnia"];
    /// Load generators.
    Load "load generator" ["jmeter", "k6/", "wrk", "oha/", "gatling", "apachebench", "portcullis-bench"];
    /// Android and Java programs.
    OkHttp "OkHttp" ["okhttp"];
    /// Java programs.
    Java "Java" ["apache-httpclient", "java/", "jersey", "synapse"];
    /// Python programs.
    Python "Python" ["python", "aiohttp", "httpx"];
    /// Go programs.
    Go "Go" ["go-http-client"];
    /// Rust programs.
    Rust "Rust" ["reqwest", "hyper/", "ureq"];
    /// Programs for Node.js.
    Node "Node.js" ["node-fetch", "axios", "undici", "got (", "node/"];
    /// .NET programs.
    DotNet ".NET" ["dotnet", ".net"];
    /// PHP programs.
    Php "PHP" ["guzzle", "php"];
    /// Ruby programs.
    Ruby "Ruby" ["ruby", "faraday"];
    /// Apple's programs.
    Apple "Apple" ["cfnetwork", "darwin/"];
    /// A browser.
    Edge "Edge" ["edg/", "edge/", "edga/", "edgios/"];
    /// A browser.
    Opera "Opera" ["opr/", "opera"];
    /// A browser.
    Samsung "Samsung Internet" ["samsungbrowser"];
    /// A browser.
    Firefox "Firefox" ["firefox/", "fxios/"];
    /// A browser.
    Chrome "Chrome" ["chrome/", "chromium/", "crios/"];
    /// A browser.
    Safari "Safari" ["safari/"];
    /// A browser.
    InternetExplorer "Internet Explorer" ["msie ", "trident/"];
}

impl AgentFamily {
    /// Returns the kind of who sends this `User-Agent` (RFC 9110 §10.1.5).
    #[must_use]
    pub fn of(text: &[u8]) -> Self {
        let text = &text[..text.len().min(LOOKED_AT_MAX)];
        if text.is_empty() {
            return Self::None;
        }
        let lower = text.to_ascii_lowercase();
        let has = |sign: &str| lower.windows(sign.len()).any(|part| part == sign.as_bytes());
        let found = SIGNS.iter().find(|(_, signs)| signs.iter().any(|sign| has(sign)));
        found.map_or(Self::Other, |(family, _)| *family)
    }
}

#[cfg(test)]
mod tests {
    use super::AgentFamily;

    #[test]
    fn programs_are_known_by_what_they_say() {
        for (text, name) in [
            ("", "(none)"),
            ("curl/8.5.0", "curl"),
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
                "Chrome",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 Safari/537.36 Edg/131.0",
                "Edge",
            ),
            ("Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15", "Safari"),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0", "Firefox"),
            ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "bot"),
            ("python-requests/2.32.3", "Python"),
            ("okhttp/4.12.0", "OkHttp"),
            ("<script>alert(1)</script>", "other"),
        ] {
            assert_eq!(AgentFamily::of(text.as_bytes()).name(), name, "{text}");
        }
    }
}
