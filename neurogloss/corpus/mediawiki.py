"""Prose of a MediaWiki dump: articles without templates, tables, references, files and markup."""

import bz2
import logging
import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

logger = logging.getLogger(__name__)

NOT_PROSE = frozenset(
    {"ref", "references", "table", "gallery", "math", "chem", "timeline", "imagemap", "hiero", "score"}
    | {"source", "syntaxhighlight", "pre", "code", "templatestyles", "inputbox"}
)
REFERENCE_LISTS = frozenset(
    {"references", "notes", "footnotes", "citations", "sources", "bibliography", "further reading", "external links", "works cited"}
    | {"notes and references", "references and notes", "footnotes and references", "references and further reading", "primary sources"}
)
"""Titles of sections without prose, in lower case."""
COMMENT = re.compile(r"<!--.*?(-->|\Z)", re.DOTALL)
# Cut out before parsing: the parser leaves a tag as text where anything inside it is not closed, and references hold the worst markup.
# One that is never closed ends with its line.
REFERENCE = re.compile(r"<ref\b[^>]*/>|<ref\b[^>]*>(?:(?!<ref\b).)*?</ref\s*>|<ref\b[^>\n]*>[^\n]*", re.DOTALL | re.IGNORECASE)
QUOTES = re.compile(r"'{2,}")
"""Bold and italic; left as text by the parser, because it reads over an end of a tag to find theirs."""
TABLE = re.compile(r"^[ \t:*]*\{\|(?:(?!\{\|).)*?\n[ \t]*\|\}", re.DOTALL | re.MULTILINE)
TABLE_LINE = re.compile(r"^[ \t]*(\{\||\||!).*\n?", re.MULTILINE)
TAG = re.compile(
    r"</?(ref|references|blockquote|br|div|span|small|big|sub|sup|center|font|table|tr|td|th|p|li|ul|ol|dl|dt|dd|nowiki|poem|cite|code|pre"
    r"|math|gallery|noinclude|includeonly|onlyinclude|b|i|u|s|em|strong|tt|h[1-6]|hr|del|ins|var|abbr|source|syntaxhighlight|timeline"
    r"|section|imagemap|score|templatestyles)\b[^<>]*>",
    re.IGNORECASE,
)
"""Tags that the parser left as text."""
# [[File:...]], [[Category:...]] and links to other languages ([[de:...]]) show no text where they stand.
NO_TEXT_LINK = re.compile(r"\s*(file|image|media|category|[a-z]{2,3}(-[a-z]+)*|simple)\s*:", re.IGNORECASE)
EMPTY_BRACKETS = re.compile(r" ?\(\s*[;,:]*\s*\)")
AFTER_BRACKET = re.compile(r"\(\s*[;,:]\s*")
MANY_BLANKS = re.compile(r"[ \t]{2,}")
LAST_BLANKS = re.compile(r"[ \t]+(?=\n|\))")
MANY_LINES = re.compile(r"\s*\n\s*\n\s*")


def articles(path: Path, counts: Counter[str]) -> Iterator[tuple[str, str]]:
    """Title and prose of each article, in the order of the dump; what is left out is counted.

    A dump that is cut short or broken gives what stands before the break, counted as one malformed page.
    """
    try:
        with opened(path) as file:
            yield from pages(file, counts)
    except (ElementTree.ParseError, EOFError, OSError) as error:
        counts["malformed"] += 1
        logger.warning("%s is broken (%s); only what stands before the break is read", path.name, error)


def opened(path: Path) -> IO[bytes]:
    """The dump, unpacked where it is packed."""
    with path.open("rb") as file:
        packed = file.read(3) == b"BZh"
    return bz2.open(path) if packed else path.open("rb")


def pages(file: IO[bytes], counts: Counter[str]) -> Iterator[tuple[str, str]]:
    """Articles among the pages."""
    root: Any = None
    for event, element in ElementTree.iterparse(file, events=("start", "end")):
        if root is None:
            root = element
        if event == "start" or not element.tag.endswith("page"):
            continue
        tag = element.tag[: -len("page")]
        title, text = element.findtext(f"{tag}title"), element.findtext(f"{tag}revision/{tag}text")
        if element.find(f"{tag}redirect") is not None or element.findtext(f"{tag}ns", "0") != "0":
            counts["skipped"] += 1
        elif title is None or text is None:
            counts["malformed"] += 1
        else:
            yield title, prose(text)
        root.clear()


def prose(markup: str) -> str:
    """What a reader of the page sees as running text.

    >>> prose("'''Snow''' falls<ref>Smith</ref> in [[winter|the winter]]. {{cite}}")
    'Snow falls in the winter.'
    """
    import mwparserfromhell

    parsed = mwparserfromhell.parse(REFERENCE.sub("", COMMENT.sub("", markup)), skip_style_tags=True)
    text = without_tables(TAG.sub("", QUOTES.sub("", "".join(visible(sections_of_prose(parsed.nodes))))))
    text = AFTER_BRACKET.sub("(", EMPTY_BRACKETS.sub("", text))
    return MANY_LINES.sub("\n\n", LAST_BLANKS.sub("", MANY_BLANKS.sub(" ", text))).strip()


def sections_of_prose(nodes: Iterable[Any]) -> Iterator[Any]:
    """Nodes that are in no section whose title says that it lists references."""
    from mwparserfromhell.nodes import Heading

    left_out = 0
    """Level of the heading whose section is left out, 0 for none."""
    for node in nodes:
        if isinstance(node, Heading) and (not left_out or node.level <= left_out):
            left_out = node.level if QUOTES.sub("", str(node.title)).strip().lower() in REFERENCE_LISTS else 0
        if not left_out:
            yield node


def without_tables(text: str) -> str:
    """Text without the tables that the parser left in it, inner ones first, and without lines of broken ones."""
    while (fewer := TABLE.sub("", text)) != text:
        text = fewer
    return TABLE_LINE.sub("", text)


def visible(nodes: Iterable[Any]) -> Iterator[str]:
    """Text of a list of wikicode nodes, nested ones included."""
    from mwparserfromhell import nodes as kinds

    for node in nodes:
        if isinstance(node, kinds.Text):
            yield node.value
        elif isinstance(node, kinds.Wikilink):
            if not NO_TEXT_LINK.match(str(node.title)):
                yield from visible((node.title if node.text is None else node.text).nodes)
        elif isinstance(node, kinds.Tag):
            if str(node.tag).strip().lower() not in NOT_PROSE and node.contents is not None:
                yield from visible(node.contents.nodes)
        elif isinstance(node, kinds.ExternalLink):
            if node.brackets and node.title is not None:
                yield from visible(node.title.nodes)
        elif isinstance(node, kinds.Heading):
            yield from visible(node.title.nodes)
        elif isinstance(node, kinds.HTMLEntity):
            yield node.normalize()
