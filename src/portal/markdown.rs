//! Markdown as HTML that can do no harm: what its writer put in as HTML comes out as text, and links lead to the web, to
//! mail or within the page. So there is nothing to clean afterwards.

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};

/// Characters that are rendered; the rest is left out.
const CHARS_MAX: usize = 200_000;

/// Returns HTML.
#[must_use]
pub fn render(text: &str) -> String {
    let end = text.char_indices().nth(CHARS_MAX).map_or(text.len(), |(end, _)| end);
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let events = Parser::new_ext(&text[..end], options).map(harmless);
    let mut out = String::with_capacity(end + end / 2);
    html::push_html(&mut out, events);
    out
}

fn harmless(event: Event<'_>) -> Event<'_> {
    match event {
        Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            Event::Start(Tag::Link { link_type, dest_url: followed(dest_url), title, id })
        }
        // A picture from elsewhere would tell its server who reads this; the policy of the page refuses it anyhow.
        Event::Start(Tag::Image { title, .. }) => Event::Text(format!("[image {title}] ").into()),
        Event::End(TagEnd::Image) => Event::Text(CowStr::Borrowed("")),
        // The page has its own first heading.
        Event::Start(Tag::Heading { level, .. }) => {
            Event::Start(Tag::Heading { level: lower(level), id: None, classes: Vec::new(), attrs: Vec::new() })
        }
        Event::End(TagEnd::Heading(level)) => Event::End(TagEnd::Heading(lower(level))),
        event => event,
    }
}

fn lower(level: pulldown_cmark::HeadingLevel) -> pulldown_cmark::HeadingLevel {
    use pulldown_cmark::HeadingLevel as L;
    match level {
        L::H1 | L::H2 => L::H3,
        L::H3 => L::H4,
        L::H4 => L::H5,
        L::H5 | L::H6 => L::H6,
    }
}

/// Returns where a link may lead; nowhere, where it is a script or the like.
fn followed(address: CowStr<'_>) -> CowStr<'_> {
    let before_path = address.split(['/', '?', '#']).next().unwrap_or_default();
    let is_good = match before_path.split_once(':') {
        None => true,
        Some((scheme, _)) => ["http", "https", "mailto"].iter().any(|good| scheme.eq_ignore_ascii_case(good)),
    };
    if is_good { address } else { CowStr::Borrowed("#") }
}

#[cfg(test)]
mod tests {
    use super::render;

    #[test]
    fn what_was_written_as_html_is_text_and_links_run_nothing() {
        let out = render(
            "<script>alert(1)</script>\n\na <b onclick=x>b</b> [x](javascript:alert(1)) [y](JavaScript&colon;alert(1)) [z](data:text/html,x)",
        );
        for forbidden in ["<script", "<b", "javascript:", "JavaScript:", "data:"] {
            assert!(!out.contains(forbidden), "{forbidden} in {out}");
        }
        assert!(out.contains("&lt;script&gt;"), "{out}");
    }

    #[test]
    fn titles_addresses_and_pictures_cannot_leave_their_place() {
        let out =
            render("[a](https://x.example/\"onmouseover=alert(1) 'b\"c') ![p\"<i>](https://x.example/p.png \"q\")");
        assert!(!out.contains("<img") && !out.contains("<i>"), "{out}");
        assert!(!out.contains("\"onmouseover"), "{out}");
    }

    #[test]
    fn markdown_is_rendered_below_the_headings_of_the_page() {
        let out = render("# Menu\n\n* `GET /menu`\n\n|a|b|\n|-|-|\n|1|2|\n");
        assert!(out.contains("<h3>Menu</h3>") && out.contains("<code>GET /menu</code>") && out.contains("<table>"));
    }
}
