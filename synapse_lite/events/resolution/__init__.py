"""State resolution: one state out of several (room versions, "State resolution").

Nothing here does I/O; what the algorithms need of stored events comes through `EventLoader`.
"""

from __future__ import annotations

from .loader import EventLoader
from .resolve import resolve_state

__all__ = ["EventLoader", "resolve_state"]
