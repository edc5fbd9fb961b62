//! Reads files of the repository, and compares the part of a page that is made from code.

use std::fs;
use std::path::{Path, PathBuf};

/// What stands before the part of a page that is made from code.
const MARK: &str = "<!-- Made from the code below this line; rewrite it with BLESS=1 cargo test -p ";

/// Returns the root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the crate is two folders down").to_owned()
}

/// Reads a file of the repository.
pub fn read(file: impl AsRef<Path>) -> String {
    let path = root().join(file);
    fs::read_to_string(&path).unwrap_or_else(|cause| panic!("{}: {cause}", path.display()))
}

/// Returns the files below a folder whose names end in `.extension`, relative to the root, sorted.
pub fn files_below(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(root().join(&folder)).expect("the folder is there") {
            let item = item.expect("the folder can be read");
            let path = folder.join(item.file_name());
            if item.file_type().expect("files have types").is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|own| own == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Compares what follows the mark in a page with what the code says; with `BLESS` set, rewrites it.
pub fn check_made_part(file: &str, made: &str, package: &str) {
    let page = read(file);
    let (written, _) = page.split_once(MARK).unwrap_or_else(|| panic!("{file} has no line {MARK}{package} -->"));
    let wanted = format!("{written}{MARK}{package} -->\n{made}");
    if std::env::var_os("BLESS").is_some() {
        fs::write(root().join(file), wanted).expect("the page can be written");
        return;
    }
    assert!(page == wanted, "{file} does not say what the code says; run BLESS=1 cargo test -p {package}");
}

/// Returns the anchor of a heading, as GitHub makes it.
pub fn anchor(line: &str) -> Option<String> {
    let heading = line.strip_prefix('#')?.trim_start_matches('#').trim();
    let letters = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    Some(letters.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect())
}
