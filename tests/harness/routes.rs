//! The routes of pages, as the sources have them.

/// Returns the routes of pages that the sources have for a method (`get(`, `post(`) and that none of `paths` is a call of,
/// but for `others`.
pub fn missing_routes(method: &str, paths: &[&str], others: &[&str]) -> Vec<String> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let folders = ["publisher/pages", "store/pages", "admin/pages", "portal"];
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(root.join(folder)).expect("a folder"));
    let files = files.map(|file| file.expect("a file").path()).filter(|path| {
        path.extension().is_some_and(|end| end == "rs") && path.file_name().is_some_and(|name| name != "tests.rs")
    });
    let sources: Vec<String> = files.map(|path| std::fs::read_to_string(path).expect("a source")).collect();
    let whole = sources.concat();
    let constant = |name: &str| {
        let name = name.rsplit("::").next().expect("a name");
        // Style sheet and script have addresses that are made.
        if name.ends_with("()") {
            return "/assets".to_owned();
        }
        let (_, rest) =
            whole.split_once(&format!("const {name}: &str = \"")).unwrap_or_else(|| panic!("no constant {name}"));
        rest.split('"').next().expect("a text").to_owned()
    };
    let mut missing = Vec::new();
    let mut count = 0;
    for route in whole.split(".route(").skip(1) {
        let (path, rest) = route.split_once(',').expect("a path and what is there");
        let path = path.trim();
        let path = path.strip_prefix('"').map_or_else(|| constant(path), |text| text.trim_end_matches('"').to_owned());
        let end = rest.find([';', '}']).unwrap_or(rest.len());
        let methods = rest[..end].replace("design::form(", "post(");
        if !methods.contains(method) || path.starts_with("/assets") || others.contains(&path.as_str()) {
            continue;
        }
        count += 1;
        let is_call = |call: &&str| {
            let (call, _) = call.split_once('?').unwrap_or((call, ""));
            let (ours, theirs): (Vec<&str>, Vec<&str>) = (path.split('/').collect(), call.split('/').collect());
            let is_same = |(ours, theirs): (&&str, &&str)| ours.starts_with('{') || ours == theirs;
            ours.len() == theirs.len() && ours.iter().zip(&theirs).all(is_same)
        };
        if !paths.iter().any(is_call) {
            missing.push(path);
        }
    }
    assert!(count > 20, "routes are found in the sources: {count}");
    missing
}
