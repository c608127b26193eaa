"""What clients are told when the database cannot do what they ask."""

from __future__ import annotations

from ..api.errors import MatrixError, UnavailableError
from ..storage.errors import CommitUnknownError, DatabaseUnavailableError
from ..storage.leases import LeaseLostError

_TEMPORARY = (DatabaseUnavailableError, CommitUnknownError, LeaseLostError)


def translate_store_error(error: BaseException) -> MatrixError | None:
    """The answer for an error of storage that passes; None for what is a fault of ours."""
    if isinstance(error, _TEMPORARY):
        return UnavailableError("The server cannot reach its data at the moment; try again")
    return None
