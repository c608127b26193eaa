"""`@endpoint`: where a servlet lives, who may call it, and which processes may serve it.

Routes, mounts, proxy rules, metric labels and the reference table all come from this declaration.
"""

from __future__ import annotations

import enum
import inspect
import re
from collections.abc import Awaitable, Callable
from typing import TypeVar

import attrs

from ..server import Homeserver
from ..util.json import JsonValue
from .request import Request
from .response import FileBody, Response

__all__ = ["Auth", "Endpoint", "FileBody", "Request", "Response", "Servlet", "endpoint"]

DEFAULT_MAX_BODY_BYTES = 1024 * 1024

_PARAMETER = re.compile(r"\{(\w+)\}")
_METHODS = frozenset({"GET", "PUT", "POST", "DELETE", "PATCH", "HEAD"})
_REGEX_SPECIALS = re.compile(r"([.+*?()\[\]{}^$|\\])")

Answer = Callable[..., Awaitable[JsonValue | Response]]


class Auth(enum.Enum):
    """Who may call an endpoint, and what `answer` gets after the request."""

    USER = "user"
    """Users with an account; `answer` gets a Requester."""

    GUEST = "guest"
    """Users and guests; `answer` gets a Requester."""

    OPTIONAL = "optional"
    """Anybody; `answer` gets a Requester, or None when no access token came."""

    ADMIN = "admin"
    """Administrators of this server; `answer` gets a Requester."""

    SERVER = "server"
    """Other homeservers, by signature; `answer` gets the server's name (str)."""

    REPLICATION = "replication"
    """Processes of this server, by shared secret; `answer` gets only the request."""

    NONE = "none"
    """Anybody; `answer` gets only the request."""

    @property
    def passes_caller(self) -> bool:
        """Whether `answer` gets a second argument that says who calls."""
        return self not in (Auth.NONE, Auth.REPLICATION)


class Servlet:
    """Base of the classes that `@endpoint` declares.

    Subclasses define `async def answer(self, request, requester, **path_parameters)`, or one such
    method for each HTTP method (`get`, `put`, …), and return a JSON value or a `Response`.
    """

    def __init__(self, hs: Homeserver) -> None:
        """Subclasses ask `hs.part` for what they need and keep that."""


@attrs.frozen
class Endpoint:
    """One declaration. A servlet may carry several."""

    methods: tuple[str, ...]
    prefixes: tuple[str, ...]
    template: str
    label: str
    served_by: tuple[str, ...] = ()
    auth: Auth = Auth.USER
    limit: str | None = None
    trailing_slash: bool = False
    max_body_bytes: int | str = DEFAULT_MAX_BODY_BYTES
    body_to_file: bool = False
    compress: bool = False
    cancellable: bool = False
    is_probe: bool = False

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the path parameters, in order."""
        return tuple(_PARAMETER.findall(self.template))

    @property
    def paths(self) -> tuple[str, ...]:
        """The full path templates, one for each prefix."""
        return tuple(prefix + self.template for prefix in self.prefixes)

    @property
    def regex(self) -> str:
        """An anchored regular expression over all prefixes, for reverse proxies."""
        prefixes = "|".join(_escape(prefix) for prefix in self.prefixes)
        if len(self.prefixes) > 1:
            prefixes = f"({prefixes})"
        literals = _PARAMETER.split(self.template)[::2]
        path = "[^/]+".join(_escape(literal) for literal in literals)
        return f"^{prefixes}{path}{'/?' if self.trailing_slash else ''}$"


def _escape(literal: str) -> str:
    return _REGEX_SPECIALS.sub(r"\\\1", literal)


S = TypeVar("S", bound=type[Servlet])


def endpoint(
    methods: str,
    prefixes: tuple[str, ...],
    template: str,
    *,
    served_by: tuple[str, ...] = (),
    auth: Auth = Auth.USER,
    limit: str | None = None,
    trailing_slash: bool = False,
    max_body_bytes: int | str = DEFAULT_MAX_BODY_BYTES,
    body_to_file: bool = False,
    compress: bool = False,
    cancellable: bool = False,
    is_probe: bool = False,
) -> Callable[[S], S]:
    """Declare where a servlet lives; may be stacked for several templates.

    `methods` are separated by spaces; GET answers HEAD too. `limit` names a rate limit in the
    section `ratelimiting`, counted by user, else by address. With `trailing_slash` the path may
    also end in an empty segment. `max_body_bytes` bounds the request's body; a dotted name stands
    for an option (`media.max_upload_size`). With `body_to_file` the body is in
    `request.body_file`, on disk if it is large. `compress` allows gzip where the listener does
    not. Without `cancellable`, work goes on when the client disconnects, so that no write is left
    half done; with it the coroutine gets a CancelledError where it waits, so only reads and
    long-polls may say so. `is_probe` keeps requests of monitors out of the access log.
    """

    def declare(servlet: S) -> S:
        declared = Endpoint(
            methods=tuple(methods.split()),
            prefixes=prefixes,
            template=template,
            label=servlet.__name__,
            served_by=served_by,
            auth=auth,
            limit=limit,
            trailing_slash=trailing_slash,
            max_body_bytes=max_body_bytes,
            body_to_file=body_to_file,
            compress=compress,
            cancellable=cancellable,
            is_probe=is_probe,
        )
        _check(servlet, declared)
        setattr(servlet, _ATTRIBUTE, (declared, *servlet.__dict__.get(_ATTRIBUTE, ())))
        return servlet

    return declare


_ATTRIBUTE = "__endpoints__"


def endpoints_of(servlet: type[Servlet]) -> tuple[Endpoint, ...]:
    """The declarations of a servlet class. Raises TypeError when it has none of its own."""
    declared: tuple[Endpoint, ...] = servlet.__dict__.get(_ATTRIBUTE, ())
    if not declared:
        raise TypeError(f"{servlet.__name__} has no @endpoint")
    return declared


def answer_name(servlet: type[Servlet], method: str) -> str:
    """The name of the method of the class that answers an HTTP method. Raises TypeError."""
    for name in (method.lower(), "answer"):
        if hasattr(servlet, name):
            return name
    raise TypeError(f"{servlet.__name__} has neither {method.lower()} nor answer")


def _check(servlet: type[Servlet], declared: Endpoint) -> None:
    """Raise TypeError for a declaration that the class does not keep."""
    if not declared.methods or not _METHODS.issuperset(declared.methods):
        raise TypeError(f"{servlet.__name__}: unknown HTTP method in {declared.methods}")
    if len(set(declared.parameters)) != len(declared.parameters):
        raise TypeError(f"{servlet.__name__}: a path parameter comes twice")
    leading = (None, None, "caller") if declared.auth.passes_caller else (None, None)
    for method in declared.methods:
        function = getattr(servlet, answer_name(servlet, method))
        try:
            signature = inspect.signature(function)
            signature.bind(*leading, **dict.fromkeys(declared.parameters, ""))
        except TypeError as error:
            raise TypeError(
                f"{servlet.__name__}.{function.__name__} does not take the arguments of"
                f" {declared.template}: {error}"
            ) from error
