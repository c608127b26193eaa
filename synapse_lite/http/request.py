"""The request as servlets see it: checked parameters, no wire details.

Everything is decoded on first use, so that a request costs only what its servlet asks for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import IO, TypeVar, overload
from urllib.parse import parse_qs

from ..api.errors import BadJsonError, InvalidParamError, MissingParamError, NotJsonError
from ..util.json import JsonDict, JsonError, JsonValue, decode_json

T = TypeVar("T")

MAX_QUERY_FIELDS = 256
"""Most parameters of one query string."""

MAX_INTEGER = 2**63 - 1
"""Largest integer that a parameter may be, as databases hold them."""


class Request:
    """One request of a client, server or process.

    `path` is undecoded and without the query string. `client_ip` comes from the proxy's header on
    listeners that trust it, and from the process that forwarded the request. `body_file` takes the
    place of `body` where the endpoint asks for it.
    """

    __slots__ = (
        "_get_header",
        "_query",
        "_query_string",
        "body",
        "body_file",
        "client_ip",
        "method",
        "path",
    )

    def __init__(
        self,
        method: str,
        path: str,
        *,
        query_string: str = "",
        body: bytes = b"",
        body_file: IO[bytes] | None = None,
        client_ip: str = "",
        get_header: Callable[[str], list[str]] = lambda name: [],
    ) -> None:
        self.method = method
        self.path = path
        self.body = body
        self.body_file = body_file
        self.client_ip = client_ip
        self._query_string = query_string
        self._query: dict[str, list[str]] | None = None
        self._get_header = get_header

    def header(self, name: str) -> str | None:
        """The header's last value, or None."""
        values = self._get_header(name)
        return values[-1] if values else None

    def headers(self, name: str) -> list[str]:
        """All values of a header that may come several times."""
        return self._get_header(name)

    @property
    def uri(self) -> str:
        """Path and query string as they came; holds secrets, so never log it."""
        return f"{self.path}?{self._query_string}" if self._query_string else self.path

    @property
    def user_agent(self) -> str:
        return self.header("User-Agent") or ""

    @property
    def access_token(self) -> str | None:
        """The bearer of the Authorization header, else the parameter `access_token`."""
        bearer = self.bearer
        return self.query("access_token", default=None) if bearer is None else bearer

    @property
    def bearer(self) -> str | None:
        """The bearer of the Authorization header; None without one, or with several headers."""
        values = self._get_header("Authorization")
        if len(values) != 1:
            return None
        scheme, _, credentials = values[0].partition(" ")
        credentials = credentials.strip()
        return credentials if scheme.lower() == "bearer" and credentials else None

    def json(self) -> JsonDict:
        """The body, which must be a JSON object.

        Raises NotJsonError for anything that is not JSON, BadJsonError for JSON of another kind.
        """
        value = self.json_value()
        if not isinstance(value, dict):
            raise BadJsonError("The body must be a JSON object")
        return value

    def json_or_empty(self) -> JsonDict:
        """`json()`, with an empty body taken as an empty object."""
        return self.json() if self.body else {}

    def json_value(self) -> JsonValue:
        """The body as JSON of any kind. Raises NotJsonError."""
        if not self.body:
            raise NotJsonError("The body is empty; JSON is needed")
        try:
            return decode_json(self.body)
        except JsonError as error:
            raise NotJsonError(str(error)) from error

    @overload
    def query(self, name: str) -> str: ...
    @overload
    def query(self, name: str, default: T) -> str | T: ...
    def query(self, name: str, default: object = ...) -> object:
        """A parameter of the query string; the last one if it is repeated.

        Without a default it is required. Raises MissingParamError, and InvalidParamError when the
        query string cannot be decoded.
        """
        values = self.query_all(name)
        if values:
            return values[-1]
        if default is ...:
            raise MissingParamError(f"Missing query parameter {name}")
        return default

    def query_all(self, name: str) -> list[str]:
        """All values of a parameter that may be repeated, in order."""
        if self._query is None:
            self._query = _parse_query(self._query_string)
        return self._query.get(name, [])

    @overload
    def query_int(
        self, name: str, *, minimum: int = ..., maximum: int = ..., clamp: bool = ...
    ) -> int: ...
    @overload
    def query_int(
        self, name: str, default: T, minimum: int = ..., maximum: int = ..., clamp: bool = ...
    ) -> int | T: ...
    def query_int(
        self,
        name: str,
        default: object = ...,
        minimum: int = 0,
        maximum: int = MAX_INTEGER,
        clamp: bool = False,
    ) -> object:
        """An integer within limits. Raises InvalidParamError outside of them.

        With `clamp`, a number above the maximum is taken as the maximum, as limits of pages are.
        """
        text = self.query(name, default)
        if text is default or not isinstance(text, str):
            return default
        digits = text[1:] if text.startswith("-") else text
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 19):
            raise InvalidParamError(f"Query parameter {name} must be an integer")
        value = int(text)
        if clamp and value > maximum:
            return maximum
        if not minimum <= value <= maximum:
            raise InvalidParamError(
                f"Query parameter {name} must be between {minimum} and {maximum}"
            )
        return value

    @overload
    def query_bool(self, name: str) -> bool: ...
    @overload
    def query_bool(self, name: str, default: T) -> bool | T: ...
    def query_bool(self, name: str, default: object = ...) -> object:
        """`true` or `false`. Raises InvalidParamError for anything else."""
        text = self.query(name, default)
        if text is default:
            return default
        if text not in ("true", "false"):
            raise InvalidParamError(f"Query parameter {name} must be true or false")
        return text == "true"

    @overload
    def query_enum(self, name: str, choices: Collection[str]) -> str: ...
    @overload
    def query_enum(self, name: str, choices: Collection[str], default: T) -> str | T: ...
    def query_enum(self, name: str, choices: Collection[str], default: object = ...) -> object:
        """One of some words. Raises InvalidParamError for anything else."""
        text = self.query(name, default)
        if text is not default and text not in choices:
            raise InvalidParamError(
                f"Query parameter {name} must be one of {', '.join(sorted(choices))}"
            )
        return text

    def query_json(self, name: str) -> JsonValue:
        """A parameter that holds JSON, such as a filter; None without it.

        Raises NotJsonError.
        """
        text = self.query(name, default=None)
        if text is None:
            return None
        try:
            return decode_json(text)
        except JsonError as error:
            raise NotJsonError(f"Query parameter {name}: {error}") from error


_PLAIN_QUERY = re.compile(r"(?:[\w.~*!$',:@/-]+=[\w.~*!$',:@/-]*(?:&|$)){0,16}", re.ASCII)


def _parse_query(query_string: str) -> dict[str, list[str]]:
    if not query_string:
        return {}
    if _PLAIN_QUERY.fullmatch(query_string):
        # As most are: few parameters, and nothing in them to decode.
        query: dict[str, list[str]] = {}
        for parameter in query_string.split("&"):
            if parameter:
                name, _, value = parameter.partition("=")
                query.setdefault(name, []).append(value)
        return query
    try:
        query = parse_qs(
            query_string,
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_QUERY_FIELDS,
        )
    except ValueError as error:
        raise InvalidParamError("The query string cannot be decoded") from error
    if "%00" in query_string:
        raise InvalidParamError("The query string must not hold NUL characters")
    return query
