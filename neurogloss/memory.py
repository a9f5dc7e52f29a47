"""How glibc is to handle memory while activations of many megabytes come and go. Changes speed and memory, never a number."""

import ctypes
import os
import sys

TUNABLES = "glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0"
"""glibc keeps small blocks apart for each thread. They would end up between the activations of a layer and those of the next one, which
then do not fit where the others were: twice the memory for every batch in flight."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of malloc.h."""


def restart_with_tunables() -> None:
    """Start this process again with `TUNABLES`, unless it has some: glibc reads them only when a process starts. Elsewhere do nothing."""
    if sys.platform == "linux" and "GLIBC_TUNABLES" not in os.environ:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, "GLIBC_TUNABLES": TUNABLES})


def keep_freed_memory() -> None:
    """Have glibc keep what is freed: handing each layer's activations back and taking them again page by page costs more than recording.

    Elsewhere, and where MALLOC_TRIM_THRESHOLD_ is set, nothing is changed.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None and "MALLOC_TRIM_THRESHOLD_" not in os.environ:
        mallopt(M_MMAP_THRESHOLD, 32 << 20)
        mallopt(M_TRIM_THRESHOLD, 256 << 20)


def give_back_freed_memory() -> None:
    """Hand back what glibc has kept, before work that needs memory of other shapes."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
