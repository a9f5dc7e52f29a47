"""Compare a text with the one kept under tests/snapshots/; UPDATE_SNAPSHOTS=1 keeps the present one, for a person to read in the diff."""

import os
from pathlib import Path

from neurogloss.llm.request import Request

FOLDER = Path(__file__).parent / "snapshots"


def check(name: str, text: str) -> None:
    """Fail with a readable difference unless the text is the kept one."""
    path = FOLDER / f"{name}.txt"
    if os.environ.get("UPDATE_SNAPSHOTS") == "1":
        path.parent.mkdir(exist_ok=True)
        path.write_bytes((text + "\n").encode())
    assert path.read_bytes().decode() == text + "\n"


def written_out(request: Request) -> str:
    """A request as a person reads it: its turns, or its text."""
    if request.prompt:
        return request.prompt
    return "\n".join(f"=== {message.role}\n{message.content}" for message in request.messages)
