"""Matrix identifiers: parsing and checking (specification, appendices, "Identifier grammar").

Identifiers travel as plain `str`; these functions are applied where they come in.
"""

from __future__ import annotations

import re

import attrs

_STRICT_LOCALPART = re.compile(r"[a-z0-9._=/+\-]+\Z")
_SERVER_NAME = re.compile(
    r"(?:\[[0-9A-Fa-f:.]{2,45}\]|[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[A-Za-z0-9\-.]{1,255})(?::[0-9]{1,5})?\Z"
)
_MAX_BYTES = 255


class InvalidIdError(ValueError):
    """The text is not an identifier of the kind that is wanted; the message says why."""


@attrs.frozen
class MatrixId:
    """An identifier of the form `<sigil><localpart>:<domain>`."""

    localpart: str
    domain: str


def _split(text: object, sigil: str, what: str) -> MatrixId:
    if not isinstance(text, str):
        raise InvalidIdError(f"A {what} must be a string")
    if not text.startswith(sigil):
        raise InvalidIdError(f"A {what} must begin with '{sigil}'")
    if len(text.encode("utf-8", "replace")) > _MAX_BYTES:
        raise InvalidIdError(f"A {what} must not be longer than {_MAX_BYTES} bytes")
    if "\0" in text:
        raise InvalidIdError(f"A {what} must not contain a null character")
    localpart, colon, domain = text[1:].partition(":")
    if not colon or not is_server_name(domain):
        raise InvalidIdError(f"A {what} must end in ':' and a server name")
    return MatrixId(localpart, domain)


def parse_user_id(text: object) -> MatrixId:
    """Parse `@localpart:domain`; historical localparts are accepted. Raises InvalidIdError."""
    return _split(text, "@", "user id")


def parse_room_alias(text: object) -> MatrixId:
    """Parse `#alias:domain`. Raises InvalidIdError."""
    parsed = _split(text, "#", "room alias")
    if not parsed.localpart:
        raise InvalidIdError("A room alias must have a name before the ':'")
    return parsed


def check_room_id(text: object) -> str:
    """The room id itself if it is one, with a domain or (from version 12) without."""
    if not isinstance(text, str) or not text.startswith("!") or len(text) < 2:
        raise InvalidIdError("A room id must begin with '!'")
    if len(text.encode("utf-8", "replace")) > _MAX_BYTES or "\0" in text:
        raise InvalidIdError(f"A room id must not be longer than {_MAX_BYTES} bytes")
    return text


def is_user_id(text: object) -> bool:
    """Whether the value is a well-formed user id."""
    try:
        parse_user_id(text)
    except InvalidIdError:
        return False
    return True


def is_strict_localpart(localpart: str) -> bool:
    """Whether a new user may have this localpart."""
    return _STRICT_LOCALPART.match(localpart) is not None


def is_server_name(text: str) -> bool:
    """Whether the text is a server name: host name, IPv4 or bracketed IPv6, optional port."""
    return _SERVER_NAME.match(text) is not None


def domain_of(matrix_id: str) -> str:
    """The server name after the first ':'; empty when there is none."""
    return matrix_id.partition(":")[2]


def localpart_of(matrix_id: str) -> str:
    """The part between the sigil and the first ':'."""
    return matrix_id[1:].partition(":")[0]
