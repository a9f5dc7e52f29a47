"""The pages as files that any web server, artifact store or browser can show."""

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from tqdm import tqdm

from stages.artifacts.files import written
from stages.errors import UserError
from stages.viewer.pages import Pages

KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def assets() -> Iterator[tuple[str, bytes]]:
    """Name and content of each file that every result shares."""
    for entry in sorted(files("stages.viewer").joinpath("assets").iterdir(), key=lambda e: e.name):
        if Path(entry.name).suffix in KINDS:
            yield entry.name, entry.read_bytes()


def write_site(pages: Pages, out: Path) -> None:
    """Write all pages into the folder `out`; an earlier site is replaced, anything else is left alone with a UserError."""
    out = out.resolve()  # so that "." has a name, and a link stays a link
    replaceable(out)
    with written(out) as folder:
        folder.mkdir()
        for name, content in assets():
            (folder / name).write_bytes(content)
        for name in tqdm(list(pages.names()), desc="site", unit="file"):
            target = folder / "data" / f"{name}.js"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(pages.chunk(name))


def replaceable(out: Path) -> None:
    """Raise UserError unless `out` is absent, empty or an earlier site."""
    if not out.exists():
        return
    if not out.is_dir():
        raise UserError(f"{out} is a file; name a folder")
    there = sorted(entry.name for entry in out.iterdir())
    known = {"data", *(name for name, _ in assets())}
    foreign = [name for name in there if name not in known] if (out / "data" / "about.js").is_file() else there
    if foreign:
        raise UserError(f"{out} holds other files ({', '.join(foreign[:3])}); name an empty folder or one that `neurogloss site` wrote")
