"""Files that carry their schema, equal bytes for equal values, never half written."""

import io
import json
import mmap
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from neurogloss.errors import UserError


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; rename it to `path` when the block ends well, remove it otherwise.

    A disk that is full or read-only raises UserError with the path.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}; free or change the disk and run again") from error
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def write_table(path: Path, table: pa.Table, schema: pa.Schema, name: str, version: int) -> None:
    """Write Parquet with the schema's name and version in the metadata."""
    missing = [field.name for field in schema if field.name not in table.column_names]
    if missing or len(table.column_names) != len(schema):
        raise ValueError(f"{name} needs columns {schema.names}, got {table.column_names}")
    typed = table.select(schema.names).cast(schema.remove_metadata())
    for field in schema:
        if not field.nullable and typed[field.name].null_count:
            raise ValueError(f"{name}.{field.name} holds nulls")
    stamped = typed.replace_schema_metadata({"neurogloss.schema": name, "neurogloss.version": str(version)})
    with written(path) as temporary:
        pq.write_table(stamped, temporary, compression="zstd", store_schema=True)


def read_table(path: Path, name: str, version: int) -> pa.Table:
    """Read Parquet and check the schema's name and version."""
    if not path.exists():
        raise UserError(f"{path} is missing; run `dvc repro`, or `dvc pull` where a remote holds it")
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{path} is not a readable Parquet file ({error}); remove it and run `dvc repro`") from error
    metadata = table.schema.metadata or {}
    check_schema(path, metadata.get(b"neurogloss.schema", b"").decode(), metadata.get(b"neurogloss.version", b"").decode(), name, version)
    return table


def write_json(path: Path, value: Any) -> None:
    """Write JSON with sorted keys, two blanks of indent and a last newline; NaN is refused."""
    text = json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    with written(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path, name: str, version: int) -> dict[str, Any]:
    """Read a JSON header and check the schema's name and version."""
    if not path.exists():
        raise UserError(f"{path} is missing; run `dvc repro`, or `dvc pull` where a remote holds it")
    with understood(path):
        value = json.loads(path.read_text(encoding="utf-8"))
        found, found_version = str(value.get("schema")), str(value.get("version"))
    check_schema(path, found, found_version, name, version)
    return dict(value)


@contextmanager
def understood(path: Path) -> Iterator[None]:
    """UserError that names the file where what it holds is not what this version of its schema has."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, OSError, RecursionError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"{path} is damaged ({type(error).__name__}: {reason}); remove it and run `dvc repro`") from error


def check_schema(path: Path, found: str, found_version: str, name: str, version: int) -> None:
    """Raise UserError unless the file is of this schema and version."""
    if (found, found_version) != (name, str(version)):
        raise UserError(
            f"{path} holds {found or 'no schema'} version {found_version or '-'}, expected {name} version {version}; run `dvc repro`"
        )


def open_array(path: Path) -> np.ndarray:
    """Memory-map an array for reading."""
    if not path.exists():
        raise UserError(f"{path} is missing; run `dvc repro`, or `dvc pull` where a remote holds it")
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]  # numpy's stub says Any
    except (ValueError, OSError, EOFError) as error:
        raise UserError(f"{path} is cut short or not an array ({error}); remove it and run `dvc repro`") from error


def npy_header(shape: tuple[int, ...], dtype: np.dtype) -> bytes:
    """The first bytes of a .npy file."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def write_array(path: Path, array: np.ndarray, rows: int = 4096) -> None:
    """Write .npy block by block, so that an array on disk is never whole in memory.

    Not through a memory map: on a full disk that ends the process with a bus error instead of an OSError.
    """
    with path.open("wb") as file:
        file.write(npy_header(array.shape, array.dtype))
        for start in range(0, len(array), rows):
            file.write(np.ascontiguousarray(array[start : start + rows]).data)
            if isinstance(array, np.memmap) and isinstance(array.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
                array.base.madvise(mmap.MADV_DONTNEED)  # What was read of the map would stay.
