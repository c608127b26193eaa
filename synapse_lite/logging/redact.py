"""Takes secrets out of what is logged."""

from __future__ import annotations

import re
from urllib.parse import unquote_plus

REDACTED = "<redacted>"

_SECRET_PARAMETERS = {"access_token", "client_secret", "logintoken", "password", "token"}

# What a query must have for one of these names to be in it, in any spelling.
_MAY_BE_SECRET = re.compile(r"token|secret|password|[%+]", re.IGNORECASE)
_ODD = re.compile(r"[^!-~]")


def redact_uri(uri: str | bytes) -> str:
    """A request's URI for the log: secrets in the query blanked, odd characters escaped."""
    text = uri.decode("latin-1") if isinstance(uri, bytes) else uri
    path, mark, query = text.partition("?")
    if mark and _MAY_BE_SECRET.search(query):
        # Some parsers also split at ";", and what they would take for a token must not get out.
        query = "&".join(
            ";".join(_redact_parameter(part) for part in parameter.split(";"))
            for parameter in query.split("&")
        )
    return _escape(path + mark + query)


def _redact_parameter(parameter: str) -> str:
    name, equals, _ = parameter.partition("=")
    if equals and unquote_plus(name).lower() in _SECRET_PARAMETERS:
        return f"{name}={REDACTED}"
    return parameter


def _escape(text: str) -> str:
    """Control and non-ASCII characters percent-encoded, so that a URI is one line of the log."""
    return _ODD.sub(_percent_encoded, text)


def _percent_encoded(character: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in character[0].encode("utf-8", "surrogatepass"))
