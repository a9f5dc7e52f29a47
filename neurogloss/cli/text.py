"""Text that cannot break a terminal, and levels as colours, or as small digits where there are no colours."""

import sys
import unicodedata
from collections.abc import Iterable

from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.text import Text

NAMED = {"\n": "⏎", "\t": "⇥", "\r": "␍"}
DIGITS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
TOP = 10.0


def console(width: int | None = None) -> Console:
    """The terminal, without markup, emoji codes or highlighting; NO_COLOR and pipes are honoured, other encodings get a question mark."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    return Console(markup=False, emoji=False, highlight=False, width=width, soft_wrap=False)


def colourful(terminal: Console) -> bool:
    """Whether colours reach the reader."""
    return terminal.color_system is not None and not terminal.no_color


def visible(text: str) -> str:
    """The same text with everything that is not a plain character spelt out: control, format, surrogate, private and unknown ones.

    >>> visible("a\\x1b[31m b\\n\\u202e")
    'a\\\\x1b[31m b⏎\\\\u202e'
    """
    return "".join(
        NAMED.get(c) or (escaped(c) if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} else c) for c in text
    )


def escaped(character: str) -> str:
    """A character as Python would write it."""
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def coloured(tokens: Iterable[str], levels: Iterable[float], colours: bool) -> Text:
    """Tokens with their levels 0..10: a background from dark to bright, or without colours a raised digit behind each above 0."""
    text = Text()
    for token, level in zip(tokens, levels, strict=True):
        shown = visible(token)
        if colours:
            text.append(shown, shade(level))
        else:
            text.append(shown + raised(level))
    return text


def raised(level: float) -> str:
    """A level as raised digits, rounded for reading only; nothing for 0."""
    return "" if level <= 0.5 else f"{level:.0f}".translate(DIGITS)


def shade(level: float) -> Style:
    """Background of a level: none below one half, then dark to bright green with text that stands out."""
    if level < 0.5:
        return Style.null()
    share = min(1.0, level / TOP)
    background = Color.from_rgb(0, 50 + 190 * share, 30 + 50 * share)
    return Style(bgcolor=background, color=Color.from_rgb(0, 0, 0) if share > 0.5 else Color.from_rgb(255, 255, 255))


def number(value: float | None, digits: int = 2) -> str:
    """A number for reading; a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"
