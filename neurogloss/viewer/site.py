"""The pages as files that any web server, artifact store or browser can show."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path

from threadpoolctl import threadpool_limits
from tqdm import tqdm

from neurogloss.artifacts.files import written
from neurogloss.config.environment import threads
from neurogloss.errors import UserError
from neurogloss.viewer.pages import Pages

KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


WORKERS = 8
"""At most; each holds a hundred megabytes where there are as many neurons as in SmolLM2-135M."""


def assets() -> Iterator[tuple[str, bytes]]:
    """Name and content of each file that every result shares."""
    for entry in sorted(files("neurogloss.viewer").joinpath("assets").iterdir(), key=lambda e: e.name):
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
        names = list(pages.names())
        for kind in {name.rpartition("/")[0] for name in names}:
            (folder / "data" / kind).mkdir(parents=True, exist_ok=True)

        def write(name: str) -> None:
            (folder / "data" / f"{name}.js").write_bytes(pages.chunk(name))

        # One worker a processor, each multiplying matrices alone: threads of a matrix product that wait for one another spin.
        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(min(WORKERS, threads())) as pool:
            for _ in tqdm(pool.map(write, names), desc="site", unit="file", total=len(names)):
                pass


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
