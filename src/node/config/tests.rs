use std::path::Path;

use super::*;

fn from_file(text: &str) -> Result<Loaded, ConfigFault> {
    Config::from_layers(Some((Path::new("node.toml"), text)), [], &[])
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_closest_key() {
    let told = from_file("[gateway]\nworkers = 2\nhttp_prot = 8080\n").unwrap_err().to_string();
    assert_eq!(told, "node.toml:3: there is no key `gateway.http_prot`; did you mean `gateway.http_port`?");

    let told = from_file("[gatway]\nworkers = 2\n").unwrap_err().to_string();
    assert!(told.contains("node.toml:1") && told.contains("did you mean `gateway`?"), "{told}");

    let told = from_file("http_port = 1\n").unwrap_err().to_string();
    assert!(told.contains("did you mean `gateway.http_port`?"), "{told}");

    let variable = [("PORTCULLIS_GATEWAY__WORKER".to_owned(), "2".to_owned())];
    let told = Config::from_layers(None, variable, &[]).unwrap_err().to_string();
    assert!(told.starts_with("environment PORTCULLIS_GATEWAY__WORKER: there is no key `gateway.worker`"), "{told}");
}

#[test]
fn a_flag_wins_over_the_environment_over_the_file_over_the_default() {
    let file = "[gateway]\nhttp_port = 1001\nhttps_port = 1002\n[management]\nport = 1003\n";
    let environment = [
        ("PORTCULLIS_GATEWAY__HTTPS_PORT".to_owned(), "2002".to_owned()),
        ("PORTCULLIS_MANAGEMENT__PORT".to_owned(), "2003".to_owned()),
        ("PORTCULLIS_PASSWORD".to_owned(), "not a key".to_owned()),
    ];
    let flags = [("management.port".to_owned(), "3003".to_owned())];
    let loaded = Config::from_layers(Some((Path::new("node.toml"), file)), environment, &flags).unwrap();
    assert_eq!(loaded.config.gateway.http_port, 1001);
    assert_eq!(loaded.config.gateway.https_port, 2002);
    assert_eq!(loaded.config.management.port, 3003);
    assert_eq!(loaded.config.cluster.port, 7443);
    let source = |path| loaded.source(find_key(path).unwrap()).to_string();
    assert_eq!(source("gateway.http_port"), "node.toml:2");
    assert_eq!(source("gateway.https_port"), "environment PORTCULLIS_GATEWAY__HTTPS_PORT");
    assert_eq!(source("management.port"), "flag");
    assert_eq!(source("cluster.port"), "default");
}

#[test]
fn a_value_of_the_wrong_type_or_out_of_range_is_refused_with_what_is_accepted() {
    for (text, told) in [
        ("[management]\nport = 99999\n", "`management.port` cannot be 99999; it must be a port from 1 to 65535"),
        ("[management]\nport = \"9443\"\n", "cannot be \"9443\""),
        ("[node]\nbind = \"localhost\"\n", "must be an IP address"),
        ("[throttling]\non_no_quorum = \"maybe\"\n", "must be \"deny\" or \"allow\""),
        (
            "[telemetry]\nsample_ratio = 1.5\n",
            "`telemetry.sample_ratio` cannot be 1.5; it must be a number from 0 to 1",
        ),
        ("[log]\nlevel = \"loud\"\n", "`log.level` cannot be \"loud\""),
        ("[node]\nname = \"a b\"\n", "`node.name` cannot be"),
        ("[management]\nport = 8280\n", "gateway.http_port and management.port are both 8280"),
        ("[node]\nbind = \"0.0.0.0\"\n", "set node.advertise"),
        ("[node\n", "node.toml:1 is not valid TOML"),
    ] {
        let fault = from_file(text).unwrap_err().to_string();
        assert!(fault.contains(told), "{fault}");
    }
}

#[test]
fn components_are_a_list_and_an_unknown_one_is_refused_with_the_one_that_was_meant() {
    let components = |text: &str| from_file(text).map(|loaded| loaded.config.node.components);
    assert!(components("[node]\ncomponents = []\n").unwrap().is_all());
    let two = components("[node]\ncomponents = [\"gateway\", \"traffic-manager\"]\n").unwrap();
    assert_eq!(two.to_string(), "gateway,traffic-manager");
    let variable = [("PORTCULLIS_NODE__COMPONENTS".to_owned(), "traffic-manager, gateway".to_owned())];
    assert_eq!(Config::from_layers(None, variable, &[]).unwrap().config.node.components, two);

    for (wrong, meant) in [
        ("[\"gatway\"]", "; did you mean \"gateway\"?"),
        ("[\"store\", \"Key_Manager\"]", "; did you mean \"key-manager\"?"),
        ("[\"zebra\"]", "and \"admin\""),
        ("[1]", "and \"admin\""),
    ] {
        let told = components(&format!("[node]\ncomponents = {wrong}\n")).unwrap_err().to_string();
        let begins = format!("node.toml:2: `node.components` cannot be {wrong}; it must be a list of \"publisher\"");
        assert!(told.starts_with(&begins) && told.ends_with(meant), "{told}");
    }
}

#[test]
fn the_commented_file_holds_every_key_and_reads_back_as_what_it_was_made_from() {
    let text = Config::commented_default();
    assert_eq!(from_file(&text).unwrap().config, Config::default());
    for key in KEYS {
        assert!(text.contains(&format!("# {} = {}\n", key.name, (key.show)(&Config::default()))), "{}", key.path());
        assert!(text.contains(&key.variable()));
    }
    // With the comment signs of the keys taken away it is the same configuration.
    let in_force: String = text
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if KEYS.iter().any(|key| rest.starts_with(&format!("{} = ", key.name))) => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    assert_eq!(from_file(&in_force).unwrap().config, Config::default());

    let mut config = Config::default();
    config.node.bind = "127.0.0.2".parse().unwrap();
    config.node.name = "east".to_owned();
    assert_eq!(from_file(&config.as_commented_toml()).unwrap().config, config);
}

#[test]
fn a_value_that_may_hold_a_secret_is_shown_to_others_without_it() {
    let shown = |url: &str| {
        let config = from_file(&format!("[alerts]\nwebhook_url = \"{url}\"\n")).unwrap().config;
        find_key("alerts.webhook_url").unwrap().show_without_secrets(&config)
    };
    assert_eq!(shown("https://hooks.example.com/T0/secret?token=x"), "\"https://hooks.example.com/…\"");
    assert_eq!(shown("https://a:secret@hooks.example.com"), "\"https://hooks.example.com/…\"");
    assert_eq!(shown(""), "\"\"");
    let port = find_key("gateway.http_port").unwrap();
    assert_eq!(port.show_without_secrets(&Config::default()), "8280");
}

/// A key with an address of the web takes each of these, and none of those that are none.
fn takes_web_addresses(key: &Key) -> bool {
    let takes = |text: &str| {
        let flag = [(key.path(), text.to_owned())];
        Config::from_layers(None, [], &flag).is_ok()
    };
    let is_web = |host: &str| takes(&format!("http://{host}/a/b")) && takes(&format!("https://{host}/a/b"));
    is_web("hooks.example.com") && !takes("ldap://hooks.example.com/a/b") && !takes("hooks.example.com")
}

#[test]
fn every_key_that_takes_addresses_of_the_web_may_hold_a_secret() {
    let taking: Vec<String> = KEYS.iter().filter(|key| takes_web_addresses(key)).map(Key::path).collect();
    let hidden: Vec<String> = KEYS.iter().filter(|key| key.may_hold_secret()).map(Key::path).collect();
    assert_eq!(taking, hidden);
    assert!(hidden.len() >= 4, "{hidden:?}");
}

#[test]
fn a_value_that_may_hold_a_secret_is_not_told_where_it_is_refused() {
    for key in KEYS.iter().filter(|key| key.may_hold_secret()) {
        let (section, name) = (key.section, key.name);
        let from_variable = [(key.variable(), "planted".to_owned())];
        let flag = |path: String| Config::from_layers(None, [], &[(path, "planted".to_owned())]);
        for told in [
            from_file(&format!("[{section}]\n{name} = \"planted\"\n")),
            Config::from_layers(None, from_variable, &[]),
            flag(key.path()),
            flag(format!("{}s", key.path())),
        ] {
            let told = told.unwrap_err();
            let whole = format!("{told} {told:?}");
            assert!(!whole.contains("planted") && whole.contains(&key.path()), "{whole}");
        }
    }
    let told = from_file("[alerts]\nwebhook_url = \"planted\"\n").unwrap_err().to_string();
    assert_eq!(
        told,
        "node.toml:2: `alerts.webhook_url` cannot be what is written there; it must be an https or http URL, or \"\""
    );
}

#[test]
fn health_and_metrics_stay_on_loopback_unless_told_otherwise() {
    let address = |text| from_file(text).unwrap().config.observability_address().to_string();
    assert_eq!(address("[node]\nbind = \"127.0.0.3\"\n"), "127.0.0.3:9763");
    assert_eq!(address("[node]\nbind = \"10.0.0.5\"\n"), "127.0.0.1:9763");
    assert_eq!(address("[node]\nbind = \"10.0.0.5\"\n[observability]\nbind = \"10.0.0.5\"\n"), "10.0.0.5:9763");
}
