//! A real browser: headless Chromium, driven by ChromeDriver over the WebDriver protocol (W3C), which is a handful of
//! calls with JSON.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use serde_json::{Value, json};

use super::http::Client;
use super::until;

/// The key under which the protocol names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// What Chromium is started with: nothing that reaches out of the machine, nothing kept.
const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
];

/// A browser with a profile of its own; gone when this is dropped.
pub struct Browser {
    driver: Child,
    client: Client,
    session: String,
    pictures: PathBuf,
    _profile: tempfile::TempDir,
}

/// Says whether a program can be found.
fn is_installed(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(name).is_file())
}

impl Browser {
    /// Starts a browser, or says that none is installed: `None`.
    pub async fn start() -> Option<Self> {
        let missing: Vec<&str> =
            ["chromium", "chromedriver"].into_iter().filter(|program| !is_installed(program)).collect();
        if !missing.is_empty() {
            eprintln!(
                "SKIPPED: {} is not installed, so no browser looks at the pages; scripts/browser.sh installs it",
                missing.join(" and ")
            );
            return None;
        }
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("chromedriver starts");
        let port = port_of(&mut driver);
        let client = Client::plain(&format!("http://127.0.0.1:{port}"));
        let profile = tempfile::tempdir().expect("a directory for the profile");
        let flags = FLAGS.iter().map(|flag| (*flag).to_owned());
        let flags: Vec<String> = flags.chain([format!("--user-data-dir={}", profile.path().display())]).collect();
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "acceptInsecureCerts": true,
            "goog:chromeOptions": {"args": flags, "binary": "/usr/bin/chromium"},
        }}});
        let made = client.json("POST", "/session", &wanted).await.expect("a session").expect(200).json();
        let session = made["value"]["sessionId"].as_str().expect("a session").to_owned();
        let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pictures");
        std::fs::create_dir_all(&pictures).expect("a directory for pictures");
        Some(Self { driver, client, session, pictures, _profile: profile })
    }

    async fn call(&self, verb: &str, path: &str, body: Value) -> Value {
        self.try_call(verb, path, body).await.unwrap_or_else(|gone| panic!("{path}: {gone}"))
    }

    /// Calls the driver; the error is that of an element which is not on the page, or no longer.
    async fn try_call(&self, verb: &str, path: &str, body: Value) -> Result<Value, Value> {
        let path = format!("/session/{}{path}", self.session);
        let reply = match verb {
            "GET" => self.client.get(&path).await,
            _ => self.client.json(verb, &path, &body).await,
        };
        let reply = reply.expect("the driver answers");
        let body = reply.json();
        let error = body["value"]["error"].as_str().unwrap_or_default();
        if matches!(error, "stale element reference" | "no such element") {
            return Err(body["value"]["message"].clone());
        }
        assert_eq!(reply.status, 200, "{path}: {body}");
        Ok(body["value"].clone())
    }

    /// Opens an address.
    pub async fn open(&self, url: &str) {
        self.call("POST", "/url", json!({"url": url})).await;
    }

    /// Returns the address that is open.
    pub async fn url(&self) -> String {
        self.call("GET", "/url", Value::Null).await.as_str().expect("an address").to_owned()
    }

    /// Returns the text that is seen on the page.
    pub async fn seen(&self) -> String {
        let script = json!({"script": "return document.body.innerText", "args": []});
        self.call("POST", "/execute/sync", script).await.as_str().unwrap_or_default().to_owned()
    }

    /// Runs a script and returns what it returns.
    pub async fn script(&self, script: &str) -> Value {
        self.call("POST", "/execute/sync", json!({"script": script, "args": []})).await
    }

    /// Waits until a text is seen.
    pub async fn wait_for(&self, text: &str) {
        until(&format!("“{text}” on the page"), async || self.seen().await.contains(text).then_some(())).await;
    }

    /// Does things to an element, one after the other, once it is on the page. Where the page gives way to the next one
    /// meanwhile, they are done there.
    async fn act(&self, xpath: &str, deeds: &[(&str, Value)]) {
        until(&format!("{xpath} on the page"), async || {
            let wanted = json!({"using": "xpath", "value": xpath});
            let found = self.try_call("POST", "/element", wanted).await.ok()?;
            let element = found[ELEMENT].as_str()?;
            for (deed, body) in deeds {
                self.try_call("POST", &format!("/element/{element}/{deed}"), body.clone()).await.ok()?;
            }
            Some(())
        })
        .await;
    }

    /// Presses a button, by what it says.
    pub async fn press(&self, name: &str) {
        self.act(&format!("//button[normalize-space()=\"{name}\"]"), &[("click", json!({}))]).await;
    }

    /// Follows a link, by what it says.
    pub async fn follow(&self, name: &str) {
        self.act(&format!("//a[normalize-space()=\"{name}\"]"), &[("click", json!({}))]).await;
    }

    /// Puts a text into a field, by its id.
    pub async fn fill(&self, id: &str, text: &str) {
        let deeds = [("clear", json!({})), ("value", json!({"text": text}))];
        self.act(&format!("//*[@id=\"{id}\"]"), &deeds).await;
    }

    /// Chooses a file in a field, by its id.
    pub async fn choose_file(&self, id: &str, path: &Path) {
        let path = path.to_str().expect("UTF-8");
        self.act(&format!("//*[@id=\"{id}\"]"), &[("value", json!({"text": path}))]).await;
    }

    /// Opens what is folded, by what it says.
    pub async fn open_details(&self, name: &str) {
        self.act(&format!("//summary[normalize-space()=\"{name}\"]"), &[("click", json!({}))]).await;
    }

    /// Chooses in a list, by its id and what the choice says.
    pub async fn choose(&self, id: &str, name: &str) {
        let option = format!("//select[@id=\"{id}\"]/option[starts-with(normalize-space(),\"{name}\")]");
        self.act(&option, &[("click", json!({}))]).await;
    }

    /// Signs in at the page to sign in.
    pub async fn sign_in(&self, user: &str, password: &str) {
        self.fill("username", user).await;
        self.fill("password", password).await;
        self.press("Sign in").await;
    }

    /// Takes pictures of the page: on a phone and on a wide screen, light and dark.
    pub async fn picture(&self, name: &str) {
        for (screen, width, height) in [("wide", 1280, 900), ("phone", 390, 844)] {
            for scheme in ["light", "dark"] {
                let metrics =
                    json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": screen == "phone"});
                self.cdp("Emulation.setDeviceMetricsOverride", metrics).await;
                let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
                self.cdp("Emulation.setEmulatedMedia", features).await;
                let taken = self.cdp("Page.captureScreenshot", json!({"captureBeyondViewport": true})).await;
                let bytes = taken["data"].as_str().expect("a picture");
                let bytes = base64::engine::general_purpose::STANDARD.decode(bytes).expect("base64");
                std::fs::write(self.pictures.join(format!("{name}-{screen}-{scheme}.png")), bytes).expect("a picture");
                let too_wide = self.script("return document.documentElement.scrollWidth - window.innerWidth").await;
                assert!(too_wide.as_f64().unwrap_or_default() <= 0.0, "{name} is wider than a {screen}: {too_wide}");
            }
        }
        self.cdp("Emulation.clearDeviceMetricsOverride", json!({})).await;
    }

    async fn cdp(&self, command: &str, parameters: Value) -> Value {
        self.call("POST", "/goog/cdp/execute", json!({"cmd": command, "params": parameters})).await
    }

    /// Returns what is wrong with the page for those who do not see it or use no mouse: controls without a name, headings
    /// that leave out a level, several main parts, ids that are there twice, contrast that is too low.
    pub async fn barriers(&self) -> Vec<String> {
        let found = self.script(include_str!("barriers.js")).await;
        found.as_array().expect("a list").iter().map(|one| one.as_str().unwrap_or_default().to_owned()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // With all its children: Chromium outlives a driver that is killed while it works.
        let group = format!("-{}", self.driver.id());
        Command::new("kill").args(["-KILL", "--", &group]).status().ok();
        self.driver.kill().ok();
        self.driver.wait().ok();
    }
}

/// Reads the port from what the driver says at its start.
fn port_of(driver: &mut Child) -> u16 {
    let output = driver.stdout.take().expect("the driver's output");
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    let said = lines.find_map(|line| {
        let rest = line.split("successfully on port ").nth(1)?;
        rest.trim_end_matches('.').trim().parse().ok()
    });
    // What it says later is read away, so that it never waits for a reader.
    std::thread::spawn(move || lines.for_each(drop));
    said.expect("the driver says its port")
}
