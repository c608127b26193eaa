"""Documents under /.well-known/matrix."""

from __future__ import annotations

from ...http.endpoint import Servlet

SERVLETS: tuple[type[Servlet], ...] = ()
