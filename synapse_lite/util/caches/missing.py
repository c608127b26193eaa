"""The sign for "not in the cache", where None may be a cached value."""

from __future__ import annotations

import enum
from typing import Final


class Missing(enum.Enum):
    """Type of `MISSING`; compare with `is`."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING
