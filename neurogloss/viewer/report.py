"""report.html: the summary and a few dozen neurons in one file that asks for nothing else."""

import base64
import hashlib
import html
import re
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from neurogloss.artifacts.files import written
from neurogloss.viewer import summary
from neurogloss.viewer.encode import packed, spelled
from neurogloss.viewer.pages import Pages
from neurogloss.viewer.result import Files, ViewedResult, open_result
from neurogloss.viewer.site import assets

NEURONS = 36
PER_GROUP = 12
WHOLE = 1 << 30
"""Excerpts and tokens of a report stand in one sparse shard."""


def write_report(path: Path, result: Path | Files) -> None:
    """Write the report of a result: a folder that holds data/, or its parts. The same bytes for the same result."""
    page = report(open_result(result))
    with written(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def report(result: ViewedResult) -> str:
    """The page with its styles, scripts and data inside, and a policy that allows exactly those."""
    pages = ReportPages(replace(result, rows=chosen(result)))
    files = {name: content.decode("utf-8") for name, content in assets()}
    scripts = re.findall(r'<script defer src="([a-z]+\.js)"></script>\n', files["index.html"])
    bodies = []
    for name in scripts:
        bodies.append(files[name])
        if name == "core.js":
            bodies.append("neurogloss.inlined = true;\n")
            bodies += [pages.chunk(chunk).decode("ascii") for chunk in pages.names()]
    for body in bodies:
        if "</script" in body.lower():
            raise ValueError("a script would end early")
    policy = (
        f"default-src 'none'; script-src {sources(bodies)}; style-src {sources([files['app.css']])}; base-uri 'none'; form-action 'none'; "
        "require-trusted-types-for 'script'; trusted-types neurogloss"
    )
    page = re.sub(r'<script defer src="[a-z]+\.js"></script>\n', "", files["index.html"])
    page = re.sub(r'<link rel="icon"[^>]*>\n', "", page)
    page = re.sub(r'(http-equiv="Content-Security-Policy" content=")[^"]*', lambda found: found[1] + html.escape(policy), page)
    page = page.replace('<link rel="stylesheet" href="app.css">', f"<style>{files['app.css']}</style>")
    inline = "".join(f"<script>{body}</script>\n" for body in bodies)
    return page.replace("</body>", f"{inline}</body>")


def sources(bodies: list[str]) -> str:
    """Hashes of inline elements, as a policy names them."""
    return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(body.encode('utf-8')).digest()).decode()}'" for body in bodies)


def chosen(result: ViewedResult) -> Int[np.ndarray, " row"]:
    """The best explained neurons, the strong but unexplained, and an even sample of the others, ascending."""
    if len(result.rows) <= NEURONS:
        return result.rows
    kept = set(summary.best(result, PER_GROUP).tolist()) | set(summary.strong_but_unexplained(result, PER_GROUP).tolist())
    others = [int(row) for row in result.rows if int(row) not in kept]
    even = np.linspace(0, len(others) - 1, NEURONS - len(kept)).astype(int)
    return np.array(sorted(kept | {others[i] for i in even}))


class ReportPages(Pages):
    """The data of a few neurons, with only those excerpts and tokens that they show."""

    def __init__(self, result: ViewedResult) -> None:
        super().__init__(result, "report")

    @cached_property
    def counts(self) -> dict[str, int]:
        """One shard of excerpts and tokens; nothing that needs the model or the other neurons."""
        blocks = -(-len(self.result.rows) // self.block)
        return {"rows": len(self.shards) - 1, "neurons": blocks, "excerpts": 1, "pieces": 1}

    @cached_property
    def used(self) -> Int[np.ndarray, " excerpt"]:
        """The excerpts that are shown, ascending."""
        return np.unique(np.asarray(self.result.recordings.excerpts[self.result.rows])[:, self.result.shown.slots])

    def part(self, kind: str, number: int) -> Any:
        """As for a site, but for the sparse shards."""
        recordings = self.result.recordings
        if kind == "excerpts":
            documents = recordings.documents.take(self.used)
            return {
                "rows": {str(row): place for place, row in enumerate(self.used)},
                "tokens": packed(recordings.corpus[self.used].astype(np.int32)),
                "documents": documents["document"].to_pylist(),
                "document": list(range(len(self.used))),
                "starts": documents["start"].to_pylist(),
            }
        if kind == "pieces":
            return {str(token): spelled(recordings.vocabulary[token]) for token in np.unique(recordings.corpus[self.used])}
        return super().part(kind, number)

    def about(self) -> dict[str, Any]:
        """As for a site, with whole shards."""
        return super().about() | {"excerpts_per_shard": WHOLE, "pieces_per_shard": WHOLE}
