"""How data reach a page: scripts that hand over one value, because a page opened from a file may not fetch."""

import base64
import json
import re
from typing import Any

import numpy as np

NAME = re.compile(r"[a-z]+(/[0-9]{1,7})?")
"""Names of chunks; nothing that could climb out of a folder."""


def chunk(name: str, value: Any) -> bytes:
    """A script that hands over `value`: plain ASCII, and nothing in it can end a script element."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return f'neurogloss.arrived("{name}",{text.replace("<", chr(92) + "u003c")});\n'.encode("ascii")


def packed(array: np.ndarray) -> str:
    """An array as base64 of its little-endian bytes."""
    return base64.b64encode(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()).decode("ascii")


def json_numbers(values: np.ndarray, digits: int = 4) -> list[float | None]:
    """Numbers for JSON: rounded, None for NaN and infinities."""
    return [round(float(v), digits) if np.isfinite(v) else None for v in values.ravel()]


def spelled(piece: bytes) -> str:
    """A token as text; bytes that are half a character show as backslash escapes."""
    return piece.decode("utf-8", errors="backslashreplace")
