"""How a token looks in a prompt: whatever its bytes are, it stays on its line and in its column."""

import unicodedata

NAMED = {"\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp", "Zs")
"""Control, format and separator characters; the blank is left as it is."""


def shown(piece: bytes) -> str:
    """A token as text without tabs, line ends and invisible characters; different bytes look different.

    >>> shown(b" a\\n"), shown("\\u2028".encode()), shown(b"\\xe2\\x80"), shown(b"\\\\n"), shown("é😀".encode())
    (' a\\\\n', '\\\\u2028', '\\\\xe2\\\\x80', '\\\\\\\\n', 'é😀')
    """
    return "".join(character(c) for c in piece.decode("utf-8", errors="surrogateescape"))


def character(c: str) -> str:
    """One character, or one byte of a broken one (surrogateescape: U+DC80 + byte - 0x80)."""
    if c in NAMED:
        return NAMED[c]
    if "\udc80" <= c <= "\udcff":
        return f"\\x{ord(c) - 0xDC00:02x}"
    if c == " " or unicodedata.category(c) not in HIDDEN:
        return c
    return f"\\u{ord(c):04x}" if ord(c) <= 0xFFFF else f"\\U{ord(c):08x}"
