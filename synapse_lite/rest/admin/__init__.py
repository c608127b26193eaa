"""The admin API, at the paths that existing admin tools use."""

from __future__ import annotations

from ...http.endpoint import Servlet
from . import register

# One line for each module: `*module.SERVLETS`.
SERVLETS: tuple[type[Servlet], ...] = (*register.SERVLETS,)
