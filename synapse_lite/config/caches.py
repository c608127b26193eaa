"""Options of caches."""

from __future__ import annotations

from synapse_lite.config import _parsers
from synapse_lite.config._options import option, section


@section(nested="caches", title="Caches")
class CachesConfig:
    """How much a process keeps in memory."""

    global_factor: float = option(
        default=1.0, doc="Multiplies the number of entries that each cache holds."
    )
    total_size: int = option(
        default=64 * 1024 * 1024,
        doc="Memory for all caches of a process together, and for the recent events, changes and"
        " receipts that it keeps at hand.",
        parse=_parsers.size,
    )
