//! The links of all pages lead somewhere: files are there, and so are the headings that anchors name. The book has every page.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the Markdown files of the repository, relative to its root.
fn pages() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for item in std::fs::read_dir(root().join(&folder)).expect("a folder") {
            let item = item.expect("an entry");
            let (path, name) = (folder.join(item.file_name()), item.file_name().to_string_lossy().into_owned());
            let is_hidden = name.starts_with('.') && name != ".github";
            if item.file_type().expect("a type").is_dir() && !is_hidden && name != "target" {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn read(page: &Path) -> String {
    std::fs::read_to_string(root().join(page)).unwrap_or_else(|cause| panic!("{}: {cause}", page.display()))
}

/// Returns the lines of a page that are not in blocks of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// Returns the targets of the links in a line, `[text](target)`; what is between backquotes is no link.
fn targets(line: &str) -> Vec<String> {
    let text: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
    let ends = text.match_indices("](").map(|(at, _)| &text[at + 2..]);
    ends.filter_map(|rest| rest.split([')', ' ']).next()).map(str::to_owned).collect()
}

/// Returns the anchors of a page's headings, as GitHub and mdBook make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let mut all = BTreeSet::new();
    for heading in headings {
        let mut shown = heading.to_owned();
        while let Some((before, rest)) = shown.split_once("](") {
            // Of a link in a heading, the text alone counts.
            let after = rest.split_once(')').map_or("", |(_, after)| after);
            shown = format!("{}{after}", before.replacen('[', "", 1));
        }
        let letters = shown.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
        let anchor: String = letters.flat_map(|c| if c == ' ' { '-' } else { c }.to_lowercase()).collect();
        let again = (1..).map(|number| format!("{anchor}-{number}"));
        let free = std::iter::once(anchor.clone()).chain(again).find(|one| !all.contains(one));
        all.extend(free);
    }
    all
}

/// Returns a path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut sum, part| {
        match part {
            Component::ParentDir => drop(sum.pop()),
            Component::CurDir => {}
            other => sum.push(other),
        }
        sum
    })
}

#[test]
fn every_link_of_every_page_leads_somewhere() {
    let (mut seen, mut broken) = (0, Vec::new());
    for page in pages() {
        let text = read(&page);
        for target in prose(&text).flat_map(targets) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            seen += 1;
            let (file, anchor) = target.split_once('#').map_or((target.as_str(), None), |(file, a)| (file, Some(a)));
            let folder = page.parent().unwrap_or(Path::new(""));
            let meant = if file.is_empty() { page.clone() } else { plain(&folder.join(file)) };
            let is_there = root().join(&meant).exists();
            let has_anchor = match anchor.filter(|_| is_there && meant.extension().is_some_and(|e| e == "md")) {
                Some(anchor) => anchors(&read(&meant)).contains(anchor),
                None => true,
            };
            if !is_there || !has_anchor {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(seen > 200, "only {seen} links were found");
    assert!(broken.is_empty(), "{} of {seen} links lead nowhere:\n{}", broken.len(), broken.join("\n"));
}

#[test]
fn the_book_has_every_page_below_docs() {
    let summary = read(Path::new("docs/SUMMARY.md"));
    let listed: BTreeSet<PathBuf> =
        prose(&summary).flat_map(targets).map(|page| Path::new("docs").join(page)).collect();
    let is_page = |page: &PathBuf| page.starts_with("docs") && !page.ends_with("SUMMARY.md");
    let there: BTreeSet<PathBuf> = pages().into_iter().filter(is_page).collect();
    assert_eq!(listed, there, "left: docs/SUMMARY.md, right: the pages");
}

#[test]
fn packages_have_every_page_that_the_readme_leads_to() {
    let text = read(Path::new("README.md"));
    let is_here = |target: &String| !target.contains("://") && !target.starts_with('#');
    let top = |target: String| target.split(['/', '#']).next().map(str::to_owned);
    let wanted: BTreeSet<String> = prose(&text).flat_map(targets).filter(is_here).filter_map(top).collect();
    assert!(wanted.contains("docs") && wanted.contains("LICENSE"), "{wanted:?}");
    let (script, manifest) = (read(Path::new("scripts/package.sh")), read(Path::new("Cargo.toml")));
    let copied = script.lines().find_map(|line| line.strip_prefix("cp -r ")).expect("what the tarball takes along");
    for one in wanted {
        assert!(copied.split(' ').any(|word| word == one), "the tarball lacks {one}");
        let below = "usr/share/doc/portcullis/";
        let is_folder = root().join(&one).is_dir();
        let line = if is_folder { format!("\"{one}/**/*\"") } else { format!("[\"{one}\", \"{below}\"") };
        let asset = manifest.lines().find(|asset| asset.contains(&line));
        let place = if is_folder { format!("\"{below}{one}/\"") } else { format!("\"{below}\"") };
        assert!(asset.is_some_and(|asset| asset.contains(&place)), "the Debian package lacks {one}");
    }
}

#[test]
fn links_and_anchors_are_read_as_they_are_shown() {
    assert_eq!(targets("see [a](b.md#c) and `[x](y)` and ![p](q.svg \"t\")"), ["b.md#c", "q.svg"]);
    let text = "# One (two), three\n## `a.b` [c](d.md)\n```\n# no\n```\n## Twice\n## Twice\n";
    let anchors = anchors(text);
    for wanted in ["one-two-three", "ab-c", "twice", "twice-1"] {
        assert!(anchors.contains(wanted), "{wanted} in {anchors:?}");
    }
    assert_eq!(anchors.len(), 4);
}
