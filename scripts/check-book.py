#!/usr/bin/env python3
"""Says whether every link of a built book leads somewhere: file and heading are there. Takes the book's folder."""

import html.parser
import pathlib
import sys
import urllib.parse


class Page(html.parser.HTMLParser):
    """What a page links to, and the marks that it can be linked to by."""

    def __init__(self, text: str):
        super().__init__()
        self.targets, self.marks = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("href", "src") and value:
                self.targets.append(value)
            if name == "id" or (name == "name" and tag == "a"):
                self.marks.add(value)


book = pathlib.Path(sys.argv[1]).resolve()
# All pages in one have links that mdBook makes itself; what is shown for a page that is not there has no place of its own.
OTHERS = ("print.html", "404.html", "toc.html")
pages = {file: Page(file.read_text()) for file in book.rglob("*.html") if file.name not in OTHERS}
seen, broken = 0, []
for file, page in pages.items():
    for target in page.targets:
        parts = urllib.parse.urlsplit(target)
        if parts.scheme or parts.netloc:
            continue
        seen += 1
        meant = (file.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else file
        meant = meant / "index.html" if meant.is_dir() else meant
        mark = urllib.parse.unquote(parts.fragment)
        has_mark = not mark or meant not in pages or mark in pages[meant].marks
        if not meant.is_relative_to(book) or not meant.is_file() or not has_mark:
            broken.append(f"{file.relative_to(book)}: {target}")
if broken or len(pages) < 50:
    sys.exit(f"{len(broken)} of {seen} links of {len(pages)} pages lead nowhere:\n" + "\n".join(sorted(broken)))
print(f"{seen} links of {len(pages)} pages lead somewhere")
