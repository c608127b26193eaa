"""Judges answers by the specification's own OpenAPI documents (tests/data/openapi).

A path under an older prefix (r0, api/v1, unstable) is judged as its operation under v3 or v1.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
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
    # "#/components/…" in the schema means the document, so it becomes part of the schema.
    whole = {**schema, "components": _document("client-server").get("components", {})}
    return jsonschema.Draft202012Validator(whole)


def check_answer(method: str, path: str, status: int, body: Any) -> None:
    """Raise AssertionError unless the answer is one that the operation may give.

    A request that is for no operation of the client-server API is not judged.
    """
    operation = operation_of(method, path)
    if operation is None:
        return
    validator = _validator(operation.name, operation.method, str(status))
    if validator is None and status >= 400:
        validator = jsonschema.Draft202012Validator(_ERROR_SCHEMA)
    if validator is None:
        if status != 200 and str(status) not in operation.responses:
            raise AssertionError(f"{operation.name} does not answer {status}")
        return
    errors = sorted(validator.iter_errors(body), key=lambda error: error.json_path)
    if errors:
        told = "; ".join(f"{error.json_path}: {error.message[:300]}" for error in errors[:5])
        raise AssertionError(f"{operation.name} answered {status} out of its schema: {told}")
