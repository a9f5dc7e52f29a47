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

    text = "".join(visible(mwparserfromhell.parse(markup).nodes))
    text = AFTER_BRACKET.sub("(", EMPTY_BRACKETS.sub("", text))
    return MANY_LINES.sub("\n\n", LAST_BLANKS.sub("", MANY_BLANKS.sub(" ", text))).strip()


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
