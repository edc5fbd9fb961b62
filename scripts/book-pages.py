#!/usr/bin/env python3
"""Puts the pages of the book together in the folder given: docs/ as its root, beside them what they link to elsewhere, under its path in
the repository. Links follow: none leaves the book."""

import pathlib
import re
import shutil
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
# Pages outside of docs/ that are chapters; other files are carried along where something links to them.
CHAPTERS = [
    ("Ready-made settings", sorted((ROOT / "cluster-configs").rglob("README.md"))),
    (
        "The repository",
        [ROOT / f"{name}.md" for name in ("CONTRIBUTING", "SECURITY", "CODE_OF_CONDUCT", "CHANGELOG", "jepsen/README")],
    ),
]
LINK = re.compile(r"(\]\()([^)\s]+)")
CODE = re.compile(r"(^```.*?^```$|`[^`\n]*`)", re.MULTILINE | re.DOTALL)


def place(source: pathlib.Path) -> pathlib.PurePath:
    """Where a file of the repository is in the book. The contents are beside each page."""
    if source.name in ("README.md", "SUMMARY.md"):
        # mdBook makes index.html of both names, but links that say README.md lead nowhere.
        source = source.with_name("index.md")
    return source.relative_to(DOCS if source.is_relative_to(DOCS) else ROOT)


def title(page: pathlib.Path) -> str:
    return next(line.lstrip("# ").replace("`", "") for line in page.read_text().splitlines() if line.startswith("# "))


class Book:
    """The pages so far, and those that they ask for."""

    def __init__(self, into: pathlib.Path):
        self.into, self.done, self.wanted = into, set(), []

    def link(self, page: pathlib.Path, target: str) -> str:
        if "://" in target or target.startswith(("#", "mailto:")):
            return target
        path, mark, anchor = target.partition("#")
        meant = (page.parent / path).resolve()
        if meant.is_dir():
            # A server shows the index of a folder, a browser that opens files does not.
            readme = meant / "README.md"
            meant = readme if readme.exists() else min(meant.glob("*.md"))
        self.wanted.append(meant)
        up = len(place(page).parents) - 1
        return "../" * up + str(place(meant)) + mark + anchor

    def add(self, source: pathlib.Path) -> None:
        if source in self.done:
            return
        self.done.add(source)
        target = self.into / place(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix != ".md":
            shutil.copy(source, target)
            return
        parts = CODE.split(source.read_text())
        for at in range(0, len(parts), 2):
            parts[at] = LINK.sub(lambda match: match[1] + self.link(source, match[2]), parts[at])
        target.write_text("".join(parts))


def main() -> None:
    into = pathlib.Path(sys.argv[1])
    shutil.rmtree(into, ignore_errors=True)
    book = Book(into)
    for page in sorted(DOCS.rglob("*")) + [ROOT / "README.md"]:
        if page.is_file() and page.name != "SUMMARY.md":
            book.add(page)
    chapters = [page for _, pages in CHAPTERS for page in pages]
    for page in chapters:
        book.add(page)
    book.done.add(DOCS / "SUMMARY.md")
    while book.wanted:
        book.add(book.wanted.pop())
    contents = (DOCS / "SUMMARY.md").read_text().replace("/README.md)", "/index.md)")
    contents = contents.replace("# Contents\n", "# Contents\n\n[Portcullis](index.md)\n", 1)
    for name, pages in CHAPTERS:
        contents += f"\n# {name}\n\n" + "".join(f"- [{title(page)}]({place(page)})\n" for page in pages)
    (into / "SUMMARY.md").write_text(contents)
    strays = [str(page) for page in book.done if page.suffix == ".md" and f"({place(page)})" not in contents]
    if strays:
        sys.exit(f"pages that are linked to but in no chapter: {strays}")


main()
