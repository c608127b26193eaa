"""Checks of what a JSON body holds.

A missing key raises MissingParamError, a value of the wrong type BadJsonError, a value of the
right type that is not allowed InvalidParamError. The `optional_…` forms take `null` as absent.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeVar, overload

from ..api.errors import BadJsonError, InvalidParamError, MissingParamError
from ..util.json import JsonDict, JsonValue

T = TypeVar("T")
V = TypeVar("V")

MAX_STRING_BYTES = 64 * 1024
"""Longest string without a limit of its own."""


def require(body: JsonDict, key: str) -> JsonValue:
    """The value of any type."""
    try:
        return body[key]
    except KeyError:
        raise MissingParamError(f"Missing parameter {key}") from None


def require_str(
    body: JsonDict, key: str, max_bytes: int = MAX_STRING_BYTES, *, allow_empty: bool = True
) -> str:
    """A string of at most `max_bytes` in UTF-8, without NUL characters."""
    return check_str(require(body, key), key, max_bytes, allow_empty=allow_empty)


def require_int(body: JsonDict, key: str, minimum: int = 0, maximum: int = 2**53 - 1) -> int:
    """An integer within limits; booleans and floats are none."""
    return check_int(require(body, key), key, minimum, maximum)


def require_bool(body: JsonDict, key: str) -> bool:
    return _check_bool(require(body, key), key)


def require_dict(body: JsonDict, key: str) -> JsonDict:
    return check_dict(require(body, key), key)


def require_list(body: JsonDict, key: str, max_items: int | None = None) -> list[JsonValue]:
    return _check_list(require(body, key), key, max_items)


def require_str_list(
    body: JsonDict, key: str, max_items: int | None = None, max_bytes: int = MAX_STRING_BYTES
) -> list[str]:
    """A list of strings."""
    items = _check_list(require(body, key), key, max_items)
    return [check_str(item, key, max_bytes) for item in items]


def require_enum(body: JsonDict, key: str, choices: Collection[str]) -> str:
    """One of some words."""
    return _check_enum(require(body, key), key, choices)


@overload
def optional_str(body: JsonDict, key: str, *, max_bytes: int = ...) -> str | None: ...
@overload
def optional_str(body: JsonDict, key: str, default: T, max_bytes: int = ...) -> str | T: ...
def optional_str(
    body: JsonDict, key: str, default: object = None, max_bytes: int = MAX_STRING_BYTES
) -> object:
    """`require_str`, or the default."""
    return _optional(body, key, default, lambda value: check_str(value, key, max_bytes))


@overload
def optional_int(
    body: JsonDict, key: str, *, minimum: int = ..., maximum: int = ...
) -> int | None: ...
@overload
def optional_int(
    body: JsonDict, key: str, default: T, minimum: int = ..., maximum: int = ...
) -> int | T: ...
def optional_int(
    body: JsonDict,
    key: str,
    default: object = None,
    minimum: int = 0,
    maximum: int = 2**53 - 1,
) -> object:
    """`require_int`, or the default."""
    return _optional(body, key, default, lambda value: check_int(value, key, minimum, maximum))


@overload
def optional_bool(body: JsonDict, key: str) -> bool | None: ...
@overload
def optional_bool(body: JsonDict, key: str, default: T) -> bool | T: ...
def optional_bool(body: JsonDict, key: str, default: object = None) -> object:
    """`require_bool`, or the default."""
    return _optional(body, key, default, lambda value: _check_bool(value, key))


@overload
def optional_dict(body: JsonDict, key: str) -> JsonDict | None: ...
@overload
def optional_dict(body: JsonDict, key: str, default: T) -> JsonDict | T: ...
def optional_dict(body: JsonDict, key: str, default: object = None) -> object:
    """`require_dict`, or the default."""
    return _optional(body, key, default, lambda value: check_dict(value, key))


@overload
def optional_list(
    body: JsonDict, key: str, *, max_items: int | None = ...
) -> list[JsonValue] | None: ...
@overload
def optional_list(
    body: JsonDict, key: str, default: T, max_items: int | None = ...
) -> list[JsonValue] | T: ...
def optional_list(
    body: JsonDict, key: str, default: object = None, max_items: int | None = None
) -> object:
    """`require_list`, or the default."""
    return _optional(body, key, default, lambda value: _check_list(value, key, max_items))


@overload
def optional_str_list(
    body: JsonDict, key: str, *, max_items: int | None = ..., max_bytes: int = ...
) -> list[str] | None: ...
@overload
def optional_str_list(
    body: JsonDict, key: str, default: T, max_items: int | None = ..., max_bytes: int = ...
) -> list[str] | T: ...
def optional_str_list(
    body: JsonDict,
    key: str,
    default: object = None,
    max_items: int | None = None,
    max_bytes: int = MAX_STRING_BYTES,
) -> object:
    """`require_str_list`, or the default."""
    if body.get(key) is None:
        return default
    return require_str_list(body, key, max_items, max_bytes)


@overload
def optional_enum(body: JsonDict, key: str, choices: Collection[str]) -> str | None: ...
@overload
def optional_enum(body: JsonDict, key: str, choices: Collection[str], default: T) -> str | T: ...
def optional_enum(
    body: JsonDict, key: str, choices: Collection[str], default: object = None
) -> object:
    """`require_enum`, or the default."""
    return _optional(body, key, default, lambda value: _check_enum(value, key, choices))


def check_str(
    value: JsonValue, name: str, max_bytes: int = MAX_STRING_BYTES, *, allow_empty: bool = True
) -> str:
    """`value` if it is a string within limits; `name` is for the message."""
    if not isinstance(value, str):
        raise BadJsonError(f"{name} must be a string")
    if len(value) > max_bytes or len(value.encode("utf-8")) > max_bytes:
        raise InvalidParamError(f"{name} must not be longer than {max_bytes} bytes")
    if "\0" in value:
        raise InvalidParamError(f"{name} must not hold NUL characters")
    if not value and not allow_empty:
        raise InvalidParamError(f"{name} must not be empty")
    return value


def check_int(value: JsonValue, name: str, minimum: int = 0, maximum: int = 2**53 - 1) -> int:
    """`value` if it is an integer within limits."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadJsonError(f"{name} must be an integer")
    if not minimum <= value <= maximum:
        raise InvalidParamError(f"{name} must be between {minimum} and {maximum}")
    return value


def check_dict(value: JsonValue, name: str) -> JsonDict:
    """`value` if it is an object."""
    if not isinstance(value, dict):
        raise BadJsonError(f"{name} must be an object")
    return value


def _optional(
    body: JsonDict, key: str, default: object, check: Callable[[JsonValue], object]
) -> object:
    value = body.get(key)
    return default if value is None else check(value)


def _check_bool(value: JsonValue, name: str) -> bool:
    if not isinstance(value, bool):
        raise BadJsonError(f"{name} must be true or false")
    return value


def _check_list(value: JsonValue, name: str, max_items: int | None) -> list[JsonValue]:
    if not isinstance(value, list):
        raise BadJsonError(f"{name} must be an array")
    if max_items is not None and len(value) > max_items:
        raise InvalidParamError(f"{name} must not have more than {max_items} items")
    return value


def _check_enum(value: JsonValue, name: str, choices: Collection[str]) -> str:
    text = check_str(value, name)
    if text not in choices:
        raise InvalidParamError(f"{name} must be one of {', '.join(sorted(choices))}")
    return text
