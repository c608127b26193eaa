"""What entries of caches weigh, in bytes: estimates that cost the same for any value."""

from __future__ import annotations

import sys
from typing import Any

ENTRY_BYTES = 400
"""The key, the entry, and their place in the tables of a cache."""

_ITEM_BYTES = 64


def estimated_size(value: Any) -> int:
    """The bytes of a value, from its own size and, for a container, the number of its items."""
    size = sys.getsizeof(value)
    if isinstance(value, (list, tuple, dict, set, frozenset)):
        size += _ITEM_BYTES * len(value)
    return size
