"""Documents under /.well-known/matrix."""

from __future__ import annotations

from ...http.endpoint import Servlet
from . import documents

SERVLETS: tuple[type[Servlet], ...] = (*documents.SERVLETS,)
