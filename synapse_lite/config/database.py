"""Options of the database."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from synapse_lite.config import _parsers
from synapse_lite.config._options import option, section
from synapse_lite.config._problems import Source

SQLITE = "sqlite3"
POSTGRES = "psycopg2"

DEFAULT_SQLITE_FILE = "homeserver.db"


@section(nested="database", title="Database")
class DatabaseConfig:
    """SQLite for small servers, PostgreSQL for large ones. Workers run on either."""

    name: str = option(
        default=SQLITE,
        doc="The engine: `sqlite3` or `psycopg2` (PostgreSQL).",
        parse=_parsers.one_of(SQLITE, POSTGRES),
    )
    args: Mapping[str, Any] = option(
        default={},
        doc="Arguments of the connection. For SQLite `database`, the file. For PostgreSQL those "
        "of libpq (`user`, `password`, `dbname`, `host`, `port`, …), and `cp_min` and `cp_max`, "
        "the fewest and most connections of a process.",
        shown_default="the SQLite file homeserver.db beside the configuration",
        example={"database": "homeserver.db"},
        secret=True,
        from_file=False,
    )

    @staticmethod
    def complete(values: dict[str, Any], source: Source) -> None:
        """Make the path of an SQLite file absolute; a name like `:memory:` or a URI stays."""
        file = values["args"].get("database", DEFAULT_SQLITE_FILE)
        if values["name"] == SQLITE and isinstance(file, str):
            if not file.startswith((":", "file:")):
                file = os.path.normpath(os.path.join(source.folder, file))
            values["args"] = {**values["args"], "database": file}

    def check(self) -> Iterator[tuple[str, str]]:
        for name in ("cp_min", "cp_max"):
            value = self.args.get(name, 1)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                yield f"database.args.{name}", "must be a whole number of 1 or more"
        if self.name == SQLITE and not isinstance(self.args.get("database", ""), str):
            yield "database.args.database", "must be a path"
