"""What a servlet answers with when a plain JSON object with status 200 is not enough."""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

import attrs

from ..util.json import JsonValue


@attrs.frozen
class FileBody:
    """A body that is read from an open file piece by piece while it is sent.

    `length` is in bytes. The file is closed when the answer is done or the client has gone.
    """

    file: BinaryIO
    length: int


@attrs.frozen
class Response:
    """An answer with a status, headers, or a body other than JSON.

    A `bytes` body is sent as it is, as `application/json` unless `headers` says otherwise; a
    `FileBody` needs a `Content-Type` in `headers`; anything else is encoded as JSON.
    """

    status: int = 200
    body: JsonValue | bytes | FileBody = attrs.Factory(dict)
    headers: Mapping[str, str] = attrs.Factory(dict)
