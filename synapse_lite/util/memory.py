"""The memory of a process that has come up: what stays for ever is put aside."""

from __future__ import annotations

import ctypes
import gc
import linecache


def settle_memory() -> None:
    """Drop what starting has left, and let collections pass over what is there now.

    Modules, classes and routes are some hundred thousand objects that never go away; each full
    collection would look at all of them, and nobody is answered meanwhile.
    """
    # The sources of generated methods, 390 kB that only tracebacks through them would show.
    linecache.clearcache()
    gc.collect()
    gc.freeze()
    _give_back()


def _give_back() -> None:
    """Give memory that was freed back to the system, where the C library can."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
