//! `portcullis docs`: what a code of an error means and what to do, and the pages of the manual, without a checkout and without
//! a network.

mod find;
mod pages;

use clap::Args;
use serde::Serialize;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Format};
use find::Found;
pub use pages::PAGES;

/// Arguments of `docs`.
#[derive(Debug, Args)]
#[command(after_help = "\
A code is that of an error: PC-1602, a number that gateways answer with (900804), or an error of OAuth 2 (invalid_grant). A
page may be named in short where one alone has that name, and with a part of it as links say it. Other words are looked for
in headings, then in texts.

Examples:
  portcullis docs
  portcullis docs PC-1602
  portcullis docs 900804
  portcullis docs operations/backup
  portcullis docs oauth#errors
  portcullis docs gateway.http_port
  portcullis docs 'lost majority'")]
pub struct DocsArguments {
    /// A code, a page, or a word; the list of pages where it is not given.
    #[arg(value_name = "TOPIC")]
    topic: Option<String>,
    /// The form.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
}

/// What is shown of a code or a page.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    topic: &'a str,
    title: &'a str,
    text: String,
}

/// What is shown of a place that has more to say.
#[derive(Debug, Serialize)]
struct Place<'a> {
    topic: &'a str,
    title: &'a str,
}

/// Shows what is asked for.
///
/// # Errors
/// Where there is nothing of that name, or standard output cannot be written.
pub fn run(arguments: &DocsArguments) -> Result<(), Failure> {
    let format = arguments.output;
    let Some(topic) = &arguments.topic else {
        let places: Vec<Place<'_>> =
            PAGES.iter().map(|page| Place { topic: page.topic, title: page.title() }).collect();
        return show_places(format, &places);
    };
    match find::find(topic) {
        Found::Text { topic, title, text } => match format {
            Format::Table => output::data(&text),
            Format::Name => output::data(&topic),
            format => output::value(format, &Shown { topic: &topic, title: &title, text }),
        },
        Found::Places(places) => {
            let places: Vec<Place<'_>> = places.iter().map(|(topic, title)| Place { topic, title }).collect();
            show_places(format, &places)
        }
        Found::Nothing => {
            let why = "it is no code of an error and no page, and no page says it";
            let failure =
                Failure::new(Exit::NotFound, format!("there is nothing about {topic:?}"), why, "portcullis docs");
            Err(failure.docs("portcullis docs errors     has all codes"))
        }
    }
}

fn show_places(format: Format, places: &[Place<'_>]) -> Result<(), Failure> {
    match format {
        Format::Table => {
            let rows = places.iter().map(|place| vec![place.topic.to_owned(), place.title.to_owned()]);
            output::data(&output::table(&["topic", "title"], rows))
        }
        Format::Name => output::data(&places.iter().map(|place| place.topic).collect::<Vec<_>>().join("\n")),
        format => output::value(format, &places),
    }
}
