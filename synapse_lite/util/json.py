"""JSON as bytes: plain, canonical, and decoding of what strangers send.

msgspec does the work (docs/decisions/0007-json.md). Canonical form is its sorted encoding after
the checks of "Canonical JSON" in the specification's appendices.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

JsonValue = Any
"""A decoded JSON value. `Any`, because what clients send has no type until it is checked."""

JsonDict = dict[str, Any]
"""A decoded JSON object."""

MAX_DEPTH = 100
"""Deepest nesting of lists and objects that is accepted from outside."""

_MAX_INT = 2**53 - 1

_FLOAT = re.compile(rb"[:,\[]-?[0-9]+[.e]")
"""Finds every float inside a list or an object, and rarely some text that looks like one."""

_encoder = msgspec.json.Encoder()
_canonical_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder()


class JsonError(ValueError):
    """The bytes are not JSON that a Matrix server accepts; the message says why."""


def encode_json(value: JsonValue) -> bytes:
    """Compact UTF-8 JSON. `msgspec.Raw` values are joined in as they are."""
    return _encoder.encode(value)


def encode_json_text(value: JsonValue) -> str:
    """`encode_json` as text, for database columns and replication lines."""
    return _encoder.encode(value).decode("utf-8")


def decode_json(data: bytes | str) -> JsonValue:
    """Decode JSON from outside.

    Raises JsonError for malformed JSON, NaN and infinities, bad UTF-8, lone surrogates, a byte
    order mark, and nesting deeper than `MAX_DEPTH`.
    """
    try:
        value = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise JsonError(f"Not valid JSON: {error}") from error
    _check_depth(value)
    return value


def decode_stored_json(data: bytes | str) -> JsonValue:
    """Decode JSON that this server wrote itself; no checks beyond its syntax."""
    return _decoder.decode(data)


def _check_depth(value: JsonValue) -> None:
    """Walk breadth first, so that hostile nesting cannot exhaust the stack."""
    level = [value] if isinstance(value, (dict, list)) else []
    depth = 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise JsonError(f"JSON is nested more than {MAX_DEPTH} levels deep")
        level = [
            child
            for container in level
            for child in (container.values() if isinstance(container, dict) else container)
            if isinstance(child, (dict, list))
        ]


def encode_canonical_json(value: JsonValue) -> bytes:
    """Canonical JSON without its limits on numbers, as room versions 1 to 5 take it.

    Floating point numbers, which the form does not define, are written as the reference
    implementation's language writes them (`1e+16`): the hashes of old events depend on it.
    """
    data = _canonical_encoder.encode(value)
    if _FLOAT.search(data) is None:
        return data
    plain = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return plain.encode("utf-8")


def check_canonical_numbers(value: JsonValue) -> None:
    """Raise JsonError unless all numbers are integers within ±(2^53 - 1).

    The rule of canonical JSON, enforced for events from room version 6 on.
    """
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
        elif isinstance(item, float):
            raise JsonError("Floating point numbers are not allowed in canonical JSON")
        elif isinstance(item, int) and not isinstance(item, bool) and abs(item) > _MAX_INT:
            raise JsonError("Integers must lie within ±(2^53 - 1) in canonical JSON")
