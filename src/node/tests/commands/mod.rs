//! The commands of the log as the page of them shows them: from the frozen list and the source of each.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_database::command::FENCED;

use crate::pages::read;

const FROZEN: &str = "src/database/tests/frozen/commands.txt";
const FOLDER: &str = "src/database/command";
const AUDIT: &str = "src/database/audit.rs";

/// Returns the table.
pub fn made() -> String {
    let list = read(format!("{FOLDER}/mod.rs"));
    let modules: BTreeMap<&str, &str> = list
        .lines()
        .filter_map(|line| line.trim().strip_suffix(',')?.split_once(" => ")?.1.split_once("::"))
        .map(|(module, name)| (name, module))
        .collect();
    let (quiet, fenced) = (not_noted(), FENCED.iter().copied().collect::<BTreeMap<&str, bool>>());
    let mut table =
        "\n| number | command | what it does | submitted by | answered | audit |\n|---|---|---|---|---|---|\n"
            .to_owned();
    for line in read(FROZEN).lines() {
        let (number, name) = line.split_once(' ').expect("number and name");
        let module = modules.get(name).unwrap_or_else(|| panic!("no module has {name}"));
        let source = read(format!("{FOLDER}/{module}.rs"));
        let answered = if fenced[name] { "in force everywhere" } else { "committed" };
        let audit = if quiet.contains(number) { "–" } else { "noted" };
        let (about, by) = (doc_of(&source, name), submitters_of(&source, name));
        table.push_str(&format!("| {number} | `{name}` | {about} | {by} | {answered} | {audit} |\n"));
    }
    table
}

/// Returns the numbers of the commands that the audit does not note.
fn not_noted() -> BTreeSet<String> {
    let text = read(AUDIT);
    let (_, rest) = text.split_once("const NOT_NOTED: &[u16] = &[").expect("the list");
    let (list, _) = rest.split_once("];").expect("its end");
    let without_comments = list.lines().map(|line| line.split("//").next().unwrap_or_default());
    let numbers = without_comments.flat_map(|line| line.split(',')).map(|number| number.trim().to_owned());
    numbers.filter(|number| !number.is_empty()).collect()
}

/// Returns what stands before a command's fields, in one line.
fn doc_of(source: &str, name: &str) -> String {
    let starts = [" {", "(", ";", "<"].map(|end| format!("pub struct {name}{end}"));
    let lines: Vec<&str> = source.lines().collect();
    let at = lines.iter().position(|line| starts.iter().any(|start| line.starts_with(start)));
    let at = at.unwrap_or_else(|| panic!("{name} is no struct of its module"));
    let before = lines[..at].iter().rev().take_while(|line| line.starts_with("///") || line.starts_with("#["));
    let mut doc: Vec<&str> = before.filter_map(|line| line.strip_prefix("///")).map(str::trim).collect();
    doc.reverse();
    let text = doc.join(" ").replace("[`", "`").replace("`]", "`").replace('|', "\\|");
    assert!(!text.is_empty(), "{name} says nothing of itself");
    text
}

/// Returns who may submit a command.
fn submitters_of(source: &str, name: &str) -> String {
    let all: Vec<String> = source
        .split("\nimpl")
        .filter(|part| part.contains("SubmittedBy<"))
        .filter_map(|part| part.split_once('{').map(|(head, _)| head))
        .filter(|head| head.split_whitespace().skip_while(|word| *word != "for").nth(1) == Some(name))
        .map(|head| match head.split_once("where C:") {
            Some((_, bounds)) => {
                let databases = bounds.split("Writes<").skip(1).filter_map(|bound| bound.split('>').next());
                let names: Vec<String> = databases.map(str::to_lowercase).collect();
                format!("who writes {}", names.join(" and "))
            }
            None => {
                let who = head.split("SubmittedBy<").nth(1).and_then(|who| who.split('>').next()).unwrap_or("?");
                words(who)
            }
        })
        .collect();
    assert!(!all.is_empty(), "nobody may submit {name}");
    all.join("; ")
}

/// Returns the name of a component in words: `TrafficManager` is `Traffic Manager`.
fn words(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push(' ');
        }
        text.push(letter);
    }
    if text == "Cluster" { "the cluster itself".to_owned() } else { text }
}
