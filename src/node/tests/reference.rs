//! The reference pages and the ready-made settings say what the code says. `BLESS=1` rewrites what is made from code.

mod commands;
mod pages;

use std::collections::{BTreeMap, BTreeSet};

use pages::{files_below, read, root};
use portcullis_gateway::CallLabels;
use portcullis_node::config::{Config, KEYS, SECTIONS};
use portcullis_node::inside::{DatabaseFigures, Inside};
use portcullis_node::metrics::{Metrics, RaftFigures, Sources};
use portcullis_raft::DurationFigures;

/// Returns the error codes between quotes in a source text.
fn codes_in(source: &str) -> impl Iterator<Item = &str> {
    source.split('"').filter(|text| {
        text.strip_prefix("PC-").is_some_and(|digits| digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit()))
    })
}

#[test]
fn every_error_code_is_explained_once_and_no_other() {
    let mut used = BTreeSet::new();
    for file in files_below("src", "rs") {
        used.extend(codes_in(&read(&file)).map(str::to_owned));
    }
    let mut explained = BTreeMap::new();
    for heading in read("docs/reference/errors.md").lines().filter_map(|line| line.strip_prefix("### ")) {
        *explained.entry(heading.to_owned()).or_insert(0) += 1;
    }
    let twice: Vec<_> = explained.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "errors.md explains these more than once: {twice:?}");
    assert_eq!(explained.into_keys().collect::<BTreeSet<_>>(), used, "left: errors.md, right: the code");
}

#[test]
fn every_crate_that_is_named_is_used_and_says_what_it_is_for() {
    let manifest = read("Cargo.toml");
    let (before, rest) = manifest.split_once("[workspace.dependencies]").expect("the list");
    let (list, after) = rest.split_once("\n[").expect("what follows the list");
    let names = list.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name);
    let named: BTreeSet<&str> = names.filter(|name| !name.starts_with("portcullis-")).collect();
    let page = read("docs/reference/dependencies.md");
    let (ours, _) = page.split_once("\n## ").expect("the list of the page");
    let rows = ours.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    assert_eq!(rows.map(|(name, _)| name).collect::<BTreeSet<_>>(), named, "left: dependencies.md, right: Cargo.toml");
    let mut texts: Vec<String> = files_below("src", "toml").iter().map(read).collect();
    texts.extend([before.to_owned(), after.to_owned(), read("jepsen/Cargo.toml")]);
    for name in named {
        let is_user = |text: &String| text.lines().any(|line| line.starts_with(&format!("{name} = ")));
        assert!(texts.iter().any(is_user), "no crate of ours uses {name}");
    }
}

#[test]
fn the_page_of_commands_says_what_the_code_says() {
    let made = commands::made();
    assert!(made.lines().count() > 100, "{made}");
    pages::check_made_part("docs/reference/commands.md", &made, "portcullis-node");
}

#[test]
fn every_crate_in_more_than_one_version_is_said_to_be_one_and_no_other() {
    let lock = read("Cargo.lock");
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in lock.lines().filter_map(|line| line.strip_prefix("name = ")) {
        *counts.entry(name.trim_matches('"')).or_default() += 1;
    }
    let is_of_windows = |name: &str| name.starts_with("windows-") || name.starts_with("windows_");
    let several: BTreeSet<&str> =
        counts.iter().filter(|(name, count)| **count > 1 && !is_of_windows(name)).map(|(name, _)| *name).collect();
    let page = read("docs/reference/dependencies.md");
    let (_, table) = page.split_once("## In more than one version").expect("the table");
    let firsts = table.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let named: BTreeSet<&str> = firsts.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    let named: BTreeSet<&str> = named.into_iter().filter(|name| !is_of_windows(name)).collect();
    assert_eq!(named, several, "left: dependencies.md, right: Cargo.lock");
}

#[test]
fn every_number_of_a_gateway_refusal_is_explained() {
    let page = read("docs/reference/errors.md");
    let source = read("src/gateway/refusal.rs");
    let shipped = source.split("#[cfg(test)]").next().unwrap_or_default();
    let is_number = |text: &&str| matches!(text.len(), 3 | 6) && text.bytes().all(|byte| byte.is_ascii_digit());
    let numbers: BTreeSet<&str> = shipped.split('"').filter(is_number).collect();
    assert!(numbers.len() > 15, "{numbers:?}");
    for number in numbers {
        assert!(page.contains(&format!("| {number} |")), "errors.md does not explain {number}");
    }
}

#[test]
fn the_page_of_the_configuration_holds_every_key_as_the_code_has_it() {
    let default = Config::default();
    let mut text = String::new();
    for (section, about) in SECTIONS {
        let about: Vec<_> = about.iter().map(|line| line.trim()).collect();
        text.push_str(&format!("\n## {section}\n\n{}\n", about.join(" ")));
        for key in KEYS.iter().filter(|key| key.section == *section) {
            text.push_str(&format!(
                "\n### {}\n\n{}\n\n- default: `{}`\n- accepts: {}\n- environment: `{}`\n- in force: {}\n",
                key.path(),
                key.about(),
                (key.show)(&default),
                key.accepts,
                key.variable(),
                key.in_force(),
            ));
        }
    }
    pages::check_made_part("docs/reference/configuration.md", &text, "portcullis-node");
}

#[test]
fn the_ready_made_settings_load_also_with_every_key_that_they_offer_in_a_comment() {
    let files = files_below("cluster-configs", "toml");
    assert!(files.len() >= 4, "{files:?}");
    let mut cluster_addresses = BTreeMap::new();
    for file in &files {
        let text = read(file);
        let load = |text: &str| {
            let loaded = Config::from_layers(Some((file, text)), [], &[]);
            loaded.unwrap_or_else(|fault| panic!("{fault}")).config
        };
        let config = load(&text);
        let offers_key = |rest: &str| KEYS.iter().any(|key| rest.starts_with(&format!("{} = ", key.name)));
        let in_force = text.lines().map(|line| line.strip_prefix("# ").filter(|rest| offers_key(rest)).unwrap_or(line));
        load(&in_force.collect::<Vec<_>>().join("\n"));
        let cluster = file.iter().nth(1).expect("cluster-configs/NAME").to_owned();
        let earlier = cluster_addresses.insert((cluster, config.addresses().cluster), file);
        assert_eq!(earlier, None, "{} has the cluster address of another node", file.display());
    }
}

/// Figures with one of everything that has labels.
fn sample() -> Sources {
    let figures = || DurationFigures { buckets: vec![(f64::INFINITY, 1)], count: 1, sum_s: 0.001 };
    let inside = move || Inside {
        applies: vec![("UpdateNode".to_owned(), figures())],
        syncs: figures(),
        databases: vec![DatabaseFigures { name: "apimgtdb".to_owned(), ..DatabaseFigures::default() }],
        ..Inside::default()
    };
    let gateway = || {
        let labels = CallLabels { tenant: String::new(), api: String::new(), version: String::new(), method: "GET" };
        portcullis_gateway::Metrics {
            calls: vec![(labels, portcullis_gateway::AnsweredCalls::default())],
            decisions: vec![("Gold".to_owned(), portcullis_gateway::DecisionCounts::default())],
            webhooks: portcullis_model::port::WebhookFigures {
                under_way: 0,
                deliveries: vec![("taken", 0)],
                requests: vec![("confirmed", 0)],
            },
            ..portcullis_gateway::Metrics::default()
        }
    };
    Sources {
        node: 1,
        raft: Box::new(RaftFigures::default),
        gateway: Box::new(gateway),
        allowances: Box::new(|| Some(portcullis_traffic_manager::Observed::default())),
        feed: Box::new(|| Some(portcullis_traffic_manager::FeedFigures::default())),
        analytics: Box::new(|| Some(portcullis_analytics::Observed::default())),
        telemetry: Box::new(|| Some(portcullis_node::TelemetryFigures::default())),
        access_log: Box::new(|| Some(portcullis_node::AccessLogFigures::default())),
        events: Box::new(|| vec![("webhook", portcullis_analytics::EventFigures::default())]),
        inside: Box::new(inside),
        actors: || {
            vec![portcullis_actor::Observation {
                actor: "store",
                capacity: 1,
                in_work: 0,
                refused: 0,
                restarts: 0,
                is_running: true,
            }]
        },
    }
}

/// Returns the names of the labels in the first series of a family.
fn labels_of(text: &str, family: &str) -> String {
    let series = text.lines().find_map(|line| line.strip_prefix(family)?.split_once('{'));
    let labels = series.and_then(|(_, rest)| rest.split_once('}')).map(|(labels, _)| labels).unwrap_or_default();
    let names: Vec<&str> = labels
        .split(',')
        .filter_map(|label| label.split_once('='))
        .map(|(name, _)| name)
        .filter(|name| *name != "le")
        .collect();
    if names.is_empty() { String::new() } else { format!("{{{}}}", names.join(",")) }
}

#[test]
fn the_page_of_the_metrics_holds_every_one_as_the_code_has_it() {
    let text = Metrics::new(sample()).as_text().expect("metrics can be written");
    let mut page = "\n| name | kind | what |\n|---|---|---|\n".to_owned();
    let mut about = "";
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            about = help.split_once(' ').expect("name and text").1.trim_end_matches('.');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let labels = labels_of(&text, name);
            let suffix = if kind == "counter" { "_total" } else { "" };
            page.push_str(&format!("| `{name}{suffix}{labels}` | {kind} | {about} |\n"));
        }
    }
    assert!(page.lines().count() > 40, "{page}");
    pages::check_made_part("docs/reference/metrics.md", &page, "portcullis-node");
}

/// Returns the routes of a source text as `VERB path`, from `.route("path", get(…).post(…))`.
fn routes_in(source: &str) -> BTreeSet<String> {
    let shipped = source.split("#[cfg(test)]").next().unwrap_or_default();
    let mut routes = BTreeSet::new();
    for (at, _) in shipped.match_indices(".route(") {
        let rest = &shipped[at + ".route(".len()..];
        let Some(path) = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next()) else { continue };
        let mut depth = 1;
        let end = rest.find(|letter| {
            depth += i32::from(letter == '(') - i32::from(letter == ')');
            depth == 0
        });
        let handlers = &rest[..end.unwrap_or(rest.len())];
        let verbs = ["get", "put", "post", "patch", "delete", "head"];
        let named: Vec<_> = verbs.iter().filter(|verb| handlers.contains(&format!("{verb}("))).collect();
        // A handler that was put together before is one that reads.
        let named = if named.is_empty() { vec![&"get"] } else { named };
        routes.extend(named.into_iter().map(|verb| format!("{} {path}", verb.to_uppercase())));
    }
    routes
}

#[test]
fn the_page_of_the_rest_apis_lists_what_is_served_and_nothing_else() {
    let page = read("docs/reference/api.md");
    let listed = |prefix: &str| -> BTreeSet<String> {
        let section = page.split("\n## ").find(|section| section.lines().next().is_some_and(|l| l.contains(prefix)));
        let section = section.unwrap_or_else(|| panic!("api.md has no section with {prefix} in its heading"));
        let rows = section.lines().filter_map(|line| line.strip_prefix("| "));
        let cells = rows.map(|row| row.split(" | ").collect::<Vec<_>>());
        cells
            .filter(|cells| cells.get(1).is_some_and(|path| path.starts_with("`/")))
            .flat_map(|cells| {
                let path = cells[1].trim_matches('`').to_owned();
                cells[0].split(", ").map(|verb| format!("{verb} {path}")).collect::<Vec<_>>()
            })
            .collect()
    };
    let served =
        |files: &[&str]| -> BTreeSet<String> { files.iter().flat_map(|file| routes_in(&read(file))).collect() };
    for (prefix, files) in [
        (
            "/api/am/publisher/v4",
            &[
                "src/publisher/rest/mod.rs",
                "src/publisher/rest/products.rs",
                "src/publisher/external_stores/rest.rs",
                "src/publisher/outside/mod.rs",
            ][..],
        ),
        ("/api/am/devportal/v3", &["src/store/rest/mod.rs", "src/store/rest/assistant.rs"]),
        ("/api/am/governance/v1", &["src/publisher/governance/mod.rs"]),
        ("/api/am/service-catalog/v1", &["src/publisher/catalogue/mod.rs"]),
        ("/api/am/devops/v0", &["src/admin/call_logs/rest.rs"]),
        ("/internal/data/v1", &["src/admin/internal/rest.rs"]),
        ("/api/am/gateway/v2", &["src/node/gateway_face/mod.rs"]),
        (
            "/api/server/v1",
            &[
                "src/admin/tenants/tenants_rest.rs",
                "src/key_manager/face/applications.rs",
                "src/key_manager/face/claim_dialects.rs",
                "src/key_manager/face/identity_providers.rs",
            ],
        ),
        ("/api/identity", &["src/admin/tenants/sign_up_rest.rs"]),
        ("/client-registration/v0.17", &["src/key_manager/face/registration.rs"]),
        (
            "/oauth2",
            &[
                "src/key_manager/face/browser.rs",
                "src/key_manager/face/device.rs",
                "src/key_manager/face/federation.rs",
                "src/key_manager/face/metadata.rs",
                "src/key_manager/face/discovery.rs",
                "src/key_manager/face/oauth.rs",
            ],
        ),
        (
            "/api/portcullis/v1",
            &[
                "src/admin/audit/rest.rs",
                "src/admin/rest_cluster.rs",
                "src/admin/rest_certificates.rs",
                "src/admin/rest_limits.rs",
                "src/admin/rest_doctor.rs",
                "src/admin/rest_nodes.rs",
                "src/admin/rest_safekeeping.rs",
                "src/admin/rest_users.rs",
                "src/key_manager/face/signing_keys.rs",
                "src/key_manager/face/trusted_issuers.rs",
                "src/store/rest/own.rs",
                "src/traffic_manager/rest.rs",
                "src/analytics/rest.rs",
                "src/node/tail.rs",
                "src/node/reload.rs",
                "src/node/report.rs",
            ],
        ),
    ] {
        assert_eq!(listed(prefix), served(files), "{prefix}; left: api.md, right: the code");
    }
    let mut admin = served(&[
        "src/admin/alerts.rs",
        "src/admin/bots.rs",
        "src/admin/environments/rest.rs",
        "src/admin/headings/rest.rs",
        "src/admin/key_manager_usages.rs",
        "src/admin/llm_providers.rs",
        "src/admin/monetization.rs",
        "src/admin/organizations.rs",
        "src/admin/ownership/rest.rs",
        "src/admin/rest_denials.rs",
        "src/admin/rest_key_managers.rs",
        "src/admin/rest_policies.rs",
        "src/admin/rest_settings.rs",
        "src/admin/themes.rs",
        "src/admin/transactions.rs",
        "src/admin/rest_transfer.rs",
        "src/admin/tasks/rest.rs",
        "src/admin/tenants/config_rest.rs",
    ]);
    for level in ["subscription", "application", "advanced", "custom"] {
        // Made by one function for all levels.
        let path = format!("/throttling/policies/{level}");
        admin.extend(["GET", "POST"].map(|verb| format!("{verb} {path}")));
        admin.extend(["GET", "PUT", "DELETE"].map(|verb| format!("{verb} {path}/{{id}}")));
    }
    assert_eq!(listed("/api/am/admin/v4"), admin, "left: api.md, right: the code");
}

#[test]
fn every_link_of_the_reference_and_operations_pages_leads_somewhere() {
    for folder in ["docs/reference", "docs/operations", "cluster-configs"] {
        for file in files_below(folder, "md") {
            let text = read(&file);
            for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                if link.starts_with("http") {
                    continue;
                }
                let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
                let target = if path.is_empty() { file.clone() } else { file.with_file_name("").join(path) };
                assert!(root().join(&target).exists(), "{}: {link} does not exist", file.display());
                if !anchor.is_empty() {
                    let anchors: Vec<_> = read(&target).lines().filter_map(pages::anchor).collect();
                    assert!(anchors.iter().any(|one| one == anchor), "{}: {link} has no heading", file.display());
                }
            }
        }
    }
}

#[test]
fn the_ready_made_rules_and_dashboard_name_metrics_that_there_are() {
    let page = read("docs/reference/metrics.md");
    let known: BTreeSet<&str> =
        page.split("| `portcullis_").skip(1).filter_map(|row| row.split(['`', '{']).next()).collect();
    let mut named = BTreeSet::new();
    for file in ["alerts.yaml", "grafana-dashboard.json"] {
        let text = read(format!("cluster-configs/observability/{file}"));
        for rest in text.split("portcullis_").skip(1) {
            let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(rest.len());
            named.insert(rest[..end].to_owned());
        }
    }
    assert!(named.len() > 20, "{named:?}");
    for name in &named {
        let family = name.strip_suffix("_bucket").unwrap_or(name);
        assert!(known.contains(family), "there is no metric portcullis_{family}");
    }
}
