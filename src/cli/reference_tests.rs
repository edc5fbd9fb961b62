//! The page of the command line says what the command tree says, and the commands in the other pages are understood.
//! `BLESS=1` rewrites what is made from the tree.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory, Parser};

use crate::arguments::Arguments;

/// What stands before the part of the page that is made from the tree.
const MARK: &str =
    "<!-- Made from the code below this line; rewrite it with BLESS=1 cargo test -p portcullis-cli -->\n";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// Writes a command's help, then those of its subcommands.
fn describe(mut command: Command, path: &str, page: &mut String) {
    let help = command.render_help().to_string();
    let lines: Vec<_> = help.lines().map(str::trim_end).collect();
    page.push_str(&format!("\n## {path}\n\n```text\n{}\n```\n", lines.join("\n").trim_end()));
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        describe(below.clone(), &format!("{path} {}", below.get_name()), page);
    }
}

/// Takes away what depends on the environment of whoever asks for help.
fn without_surroundings(command: Command) -> Command {
    let command = command.term_width(120).mut_args(|argument| argument.hide_env_values(true));
    command.mut_subcommands(without_surroundings)
}

#[test]
fn the_page_of_the_command_line_holds_every_command_with_its_options() {
    let mut tree = without_surroundings(Arguments::command());
    tree.build();
    let mut made = String::new();
    describe(tree, "portcullis", &mut made);
    let file = root().join("docs/reference/cli.md");
    let page = fs::read_to_string(&file).unwrap();
    let (written, _) = page.split_once(MARK).expect("cli.md has the mark");
    let wanted = format!("{written}{MARK}{made}");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&file, wanted).unwrap();
        return;
    }
    assert!(page == wanted, "cli.md does not say what the code says; run BLESS=1 cargo test -p portcullis-cli");
}

/// Returns the Markdown files below a folder.
fn pages(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { pages(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect()
}

/// Returns the words of a command, as a shell tells them apart.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut quote) = (vec![String::new()], None);
    for letter in command.chars() {
        match quote {
            Some(open) if letter == open => quote = None,
            None if matches!(letter, '"' | '\'') => quote = Some(letter),
            None if letter.is_whitespace() => words.push(String::new()),
            _ => words.last_mut().unwrap().push(letter),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn every_command_in_the_pages_is_understood() {
    let mut seen = 0;
    for file in ["docs", "cluster-configs"].into_iter().flat_map(|folder| pages(&root().join(folder))) {
        let page = fs::read_to_string(&file).unwrap();
        // What is made from the tree has usage lines, which are no commands.
        let written = page.split(MARK).next().unwrap();
        for line in written.lines().map(str::trim).filter(|line| line.starts_with("portcullis ")) {
            let ends = [" #", " > ", " | ", " && ", " || ", " 2>"];
            let command = ends.into_iter().fold(line, |rest, end| rest.split(end).next().unwrap_or(rest));
            let parsed = Arguments::try_parse_from(words(command));
            assert!(parsed.is_ok(), "{}: {line}\n{}", file.display(), parsed.unwrap_err());
            seen += 1;
        }
    }
    assert!(seen > 60, "only {seen} commands were found");
}
