"""Judges answers by the specification's own OpenAPI documents (tests/data/openapi).

A path under an older prefix (r0, api/v1, unstable) is judged as its operation under v3 or v1.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import jsonschema
from jsonschema.protocols import Validator

_FOLDER = Path(__file__).parent.parent / "data" / "openapi"
_OLD_PREFIX = re.compile(r"^/_matrix/client/(r0|api/v1|unstable)/")

_ERROR_SCHEMA = {
    "type": "object",
    "required": ["errcode", "error"],
    "properties": {"errcode": {"type": "string", "pattern": "^M_"}, "error": {"type": "string"}},
}


@attrs.frozen
class Operation:
    """One operation of a document."""

    name: str
    path: str
    pattern: re.Pattern[str]
    method: str
    responses: dict[str, Any]
    literal_parts: int


@functools.cache
def _document(api: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((_FOLDER / f"{api}.json").read_text(encoding="utf-8"))
    return document


@functools.cache
def operations(api: str = "client-server") -> tuple[Operation, ...]:
    """All operations, those with fewer path parameters first."""
    found = list(_operations(_document(api)))
    return tuple(sorted(found, key=lambda operation: -operation.literal_parts))


def _operations(document: dict[str, Any]) -> Iterator[Operation]:
    for path, methods in document["paths"].items():
        regex = re.sub(r"\\\{\w+\\\}", "[^/]*", re.escape(path.strip()))
        for method, operation in methods.items():
            if isinstance(operation, dict) and "responses" in operation:
                yield Operation(
                    name=operation.get("operationId", f"{method} {path}"),
                    path=path.strip(),
                    pattern=re.compile(f"^{regex}/?$"),
                    method=method.upper(),
                    responses=operation["responses"],
                    literal_parts=-path.count("{"),
                )


def operation_of(method: str, path: str) -> Operation | None:
    """The operation of the client-server API that a request is for."""
    path = path.partition("?")[0]
    candidates = [path]
    if _OLD_PREFIX.match(path):
        candidates = [_OLD_PREFIX.sub(f"/_matrix/client/{new}/", path) for new in ("v3", "v1")]
    for candidate in candidates:
        for operation in operations():
            if operation.method == method and operation.pattern.match(candidate):
                return operation
    return None


@functools.cache
def _validator(name: str, method: str, status: str) -> Validator | None:
    operation = next(o for o in operations() if o.name == name and o.method == method)
    response = operation.responses.get(status)
    if response is None:
        return None
    schema = response.get("content", {}).get("application/json", {}).get("schema")
    if schema is None:
        return None
    if "oneOf" in schema:
        # One that takes any object is among the choices, so that others fit two of them.
        schema = {key: value for key, value in schema.items() if key != "oneOf"}
        schema["anyOf"] = response["content"]["application/json"]["schema"]["oneOf"]
    # "#/components/…" in the schema means the document, so it becomes part of the schema.
    whole = {**schema, "components": _document("client-server").get("components", {})}
    return jsonschema.Draft202012Validator(whole)


def _is_of_token(status: int, body: Any) -> bool:
    """Whether an answer refuses the access token, as every operation that takes one may.

    Operations with user-interactive authentication say only of that what a 401 looks like.
    """
    errcode = body.get("errcode") if isinstance(body, dict) else None
    return status == 401 and errcode in ("M_MISSING_TOKEN", "M_UNKNOWN_TOKEN")


def check_answer(method: str, path: str, status: int, body: Any) -> None:
    """Raise AssertionError unless the answer is one that the operation may give.

    A request that is for no operation of the client-server API is not judged.
    """
    operation = operation_of(method, path)
    if operation is None:
        return
    validator = _validator(operation.name, operation.method, str(status))
    if (validator is None and status >= 400) or _is_of_token(status, body):
        validator = jsonschema.Draft202012Validator(_ERROR_SCHEMA)
    if validator is None:
        if status != 200 and str(status) not in operation.responses:
            raise AssertionError(f"{operation.name} does not answer {status}")
        return
    errors = sorted(validator.iter_errors(body), key=lambda error: error.json_path)
    if errors:
        told = "; ".join(f"{error.json_path}: {error.message[:300]}" for error in errors[:5])
        raise AssertionError(f"{operation.name} answered {status} out of its schema: {told}")


def described_operation(method: str, template: str) -> Mapping[str, Any]:
    """What the document says of an operation, whatever its path parameters are called there.

    Empty for one that is not in the client-server API.
    """
    path = re.sub(r"\{\w+\}", "x", template)
    operation = operation_of(method, path)
    if operation is None:
        return {}
    for methods in _document("client-server")["paths"].values():
        for name, described in methods.items():
            if name.upper() == operation.method and (
                isinstance(described, dict) and described.get("operationId") == operation.name
            ):
                found: Mapping[str, Any] = described
                return found
    return {}


def dereferenced(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a `$ref` into the client-server document stands for; anything else as it is."""
    while "$ref" in schema:
        place: Any = _document("client-server")
        for part in schema["$ref"].removeprefix("#/").split("/"):
            place = place[part.replace("~1", "/").replace("~0", "~")]
        schema = place
    return schema
