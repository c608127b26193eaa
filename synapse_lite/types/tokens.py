"""Tokens that clients carry: positions of /sync and of pagination."""

from __future__ import annotations

import attrs


class InvalidTokenError(ValueError):
    """The text is no token of this server."""


@attrs.frozen
class StreamToken:
    """A position of /sync: one position for each counter that it shows.

    The wire form is `s` and the numbers in field order joined by `_`. Fields are only appended; a
    missing one counts as 0, so that tokens of an older version stay valid.
    """

    events: int = 0
    typing: int = 0
    receipts: int = 0
    account_data: int = 0
    push_rules: int = 0
    presence: int = 0

    def to_text(self) -> str:
        """The token as clients see it."""
        return f"s{'_'.join([str(getattr(self, name)) for name in _STREAM_TOKEN_FIELDS])}"

    @staticmethod
    def from_text(text: str) -> StreamToken:
        """Parse a token. Raises InvalidTokenError."""
        if not text.startswith("s") or len(text) > 512:
            raise InvalidTokenError("A sync token begins with 's'")
        parts = text[1:].split("_")
        if len(parts) > len(_STREAM_TOKEN_FIELDS):
            raise InvalidTokenError("The sync token has too many parts")
        return StreamToken(*[_number(part) for part in parts])


_STREAM_TOKEN_FIELDS = tuple(field.name for field in attrs.fields(StreamToken))


@attrs.frozen
class RoomToken:
    """A position in the timeline of a room, between two events.

    Without `depth` it lies in the order of arrival (`s<stream ordering>`); with it, in the order
    of the room's graph (`t<depth>-<stream ordering>`), as backwards pagination uses it.
    """

    stream_ordering: int
    depth: int | None = None

    def to_text(self) -> str:
        """The token as clients see it."""
        if self.depth is None:
            return f"s{self.stream_ordering}"
        return f"t{self.depth}-{self.stream_ordering}"

    @staticmethod
    def from_text(text: str) -> RoomToken:
        """Parse a pagination token; a sync token gives its position of events.

        Raises InvalidTokenError.
        """
        if text.startswith("t") and len(text) <= 64:
            depth, dash, ordering = text[1:].partition("-")
            if not dash:
                raise InvalidTokenError("A pagination token has two numbers")
            return RoomToken(_number(ordering, signed=True), _number(depth))
        if text.startswith("s-"):  # the past that was fetched lies before the first arrival
            return RoomToken(_number(text[1:], signed=True))
        return RoomToken(StreamToken.from_text(text).events)


def _number(text: str, *, signed: bool = False) -> int:
    digits = text[1:] if signed and text.startswith("-") else text
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 18:
        raise InvalidTokenError(f"'{text[:32]}' is not a position")
    return int(text)
