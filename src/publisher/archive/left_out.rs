//! Which files of an archive an import has no use for, so that whoever imports hears of them.

use portcullis_http::zip::Files;

/// Files that are told by name; of more there is the number.
const TOLD_MAX: usize = 20;
/// Files below the folder of an API that are read as YAML or JSON.
const DOCUMENTS: [&str; 4] =
    ["deployment_environments", "endpoints", "sequence_backends", "Definitions/graphql-complexity"];
/// What the original's client writes beside an API and reads by itself.
const OF_CLIENT: [&str; 3] = ["api_meta", "api_product_meta", "api_params"];
/// Folders whose files are either read or refused.
const CHECKED: [&str; 4] = ["Client-certificates/", "Endpoint-certificates/", "SoapToRest/in/", "Sequences/"];
/// The definitions that an API may have, by its type: the original has an OpenAPI document beside those of others.
const DEFINITIONS: [&str; 3] = ["Definitions/swagger", "Definitions/asyncapi", "Definitions/schema"];

/// Returns the files of an archive that are not read, in the order of their names: those below `root`, but for the folder
/// `except` where there is one.
pub(super) fn left_out(files: &Files, root: &str, stem: &str, except: Option<&str>) -> Vec<String> {
    let is_left_out = |name: &&String| match name.strip_prefix(root) {
        Some(within) => except.is_none_or(|except| !within.starts_with(except)) && !is_read(files, root, stem, within),
        None => true,
    };
    let mut all = files.keys().filter(is_left_out).cloned();
    let mut told: Vec<String> = all.by_ref().take(TOLD_MAX).collect();
    let more = all.count();
    if more > 0 {
        told.push(format!("and {more} more"));
    }
    told
}

fn is_read(files: &Files, root: &str, stem: &str, within: &str) -> bool {
    let has = |name: &str| files.contains_key(&format!("{root}{name}"));
    if let Some(own) = [".yaml", ".json"].iter().find_map(|end| within.strip_suffix(end)) {
        let is_document = own == stem || DOCUMENTS.contains(&own) || OF_CLIENT.contains(&own);
        // Of two forms of one document the YAML counts.
        if is_document || DEFINITIONS.contains(&own) {
            return within.ends_with(".yaml") || !has(&format!("{own}.yaml"));
        }
    }
    if CHECKED.iter().any(|folder| within.starts_with(folder)) || within == "Definitions/schema.graphql" {
        return true;
    }
    if let Some(rest) = within.strip_prefix("Policies/") {
        let stem_of = |ends: &[&str]| ends.iter().find_map(|end| rest.strip_suffix(end));
        let is_there = |stem: &str| ["yaml", "yml", "json"].iter().any(|end| has(&format!("Policies/{stem}.{end}")));
        return stem_of(&[".yaml", ".yml", ".json"]).is_some() || stem_of(&[".j2", ".xml"]).is_some_and(is_there);
    }
    if let Some(rest) = within.strip_prefix("SoapToRest/out/") {
        return has(&format!("SoapToRest/in/{rest}"));
    }
    if let Some(rest) = within.strip_prefix("Docs/") {
        return rest.split_once('/').is_some_and(|(document, file)| is_of_document(files, root, document, file));
    }
    // Of several pictures the first counts.
    let is_first = |folder: &str| files.keys().find(|name| name.starts_with(&format!("{root}{folder}")));
    within.starts_with("WSDL/")
        || (within.starts_with("Image/icon")
            && is_first("Image/icon").is_some_and(|first| first[root.len()..] == *within))
}

/// Says whether a file is what a document says of itself, or the first beside that, which is its content.
fn is_of_document(files: &Files, root: &str, document: &str, file: &str) -> bool {
    let is_said = |file: &str| matches!(file, "document.yaml" | "document.json");
    let folder = format!("{root}Docs/{document}/");
    let inside = || files.keys().filter_map(|name| name.strip_prefix(&folder));
    inside().any(is_said) && (is_said(file) || inside().find(|other| !is_said(other)) == Some(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_read_is_told() {
        let read = [
            "a/api.yaml",
            "a/api_meta.yaml",
            "a/Definitions/swagger.json",
            "a/Docs/guide/document.yaml",
            "a/Docs/guide/guide.pdf",
            "a/Image/icon.png",
            "a/Policies/stamp_v1.yaml",
            "a/Policies/stamp_v1.j2",
            "a/Client-certificates/ann.crt",
            "a/SoapToRest/in/a_post.xml",
            "a/SoapToRest/out/a_post.xml",
            "a/WSDL/a.wsdl",
        ];
        let lost = [
            "README.md",
            "a/Definitions/other.yaml",
            "a/Docs/guide/second.pdf",
            "a/Docs/lost/lost.pdf",
            "a/Image/other.png",
            "a/Policies/alone_v1.j2",
            "a/SoapToRest/out/b_post.xml",
            "a/api.json",
            "a/libs/x.jar",
        ];
        let files: Files = read.iter().chain(&lost).map(|name| ((*name).to_owned(), Vec::new())).collect();
        assert_eq!(left_out(&files, "a/", "api", None), lost);
        let files: Files = (10..40).map(|number| (format!("a/{number}"), Vec::new())).collect();
        assert_eq!(left_out(&files, "a/", "api", None).last().unwrap(), "and 10 more");
    }
}
