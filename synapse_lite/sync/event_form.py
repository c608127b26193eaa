"""The form in which a client wants events: client's or servers', whole or only some fields."""

from __future__ import annotations

import re
from collections.abc import Iterable

import attrs
import msgspec

from ..util.json import JsonDict, JsonValue, decode_stored_json, encode_json

_NAME = re.compile(r"(?:\\[.\\]|[^.])+", re.DOTALL)
_ESCAPED = re.compile(r"\\([.\\])")

_ALWAYS = ("type", "event_id", "sender", "origin_server_ts", "state_key")
"""Without these an event is none: the specification's own schema of answers asks for them."""

PropertyPath = tuple[str, ...]
"""Names of properties, each within the one before."""


def property_paths(texts: Iterable[str]) -> tuple[PropertyPath, ...]:
    """Read dot-separated paths (appendices, "Dot-separated property paths")."""
    paths = {tuple(_ESCAPED.sub(r"\1", name) for name in _NAME.findall(text)) for text in texts}
    return tuple(sorted(path for path in paths if path))


@attrs.frozen
class EventForm:
    """How events are shown. `federation`: as servers exchange them; `fields`: None for all."""

    federation: bool = False
    fields: tuple[PropertyPath, ...] | None = None

    def reduced(self, event: msgspec.Raw) -> msgspec.Raw:
        """The bytes of an event with the fields, those that every event has, and no others."""
        whole: JsonDict = decode_stored_json(bytes(event))
        left: JsonDict = {name: whole[name] for name in _ALWAYS if name in whole}
        left["content"] = {}
        for path in self.fields or ():
            found, value = _value_at(whole, path)
            if found:
                _put(left, path, value)
        return msgspec.Raw(encode_json(left))


WHOLE = EventForm()
"""The form for clients that ask for none."""


def _value_at(event: JsonDict, path: PropertyPath) -> tuple[bool, JsonValue]:
    value: JsonValue = event
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return False, None
        value = value[name]
    return True, value


def _put(event: JsonDict, path: PropertyPath, value: JsonValue) -> None:
    """Put a value that the whole event has at a path, where all above are objects."""
    *above, last = path
    for name in above:
        event = event.setdefault(name, {})
    event[last] = value
