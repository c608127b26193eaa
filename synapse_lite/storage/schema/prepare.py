"""Creates the schema, upgrades it, and decides whether this code may open a database.

Base files `<nn>_<area>.sql` describe tables as they were first released; deltas
`delta/<version>/<nn>_<what>.sql` (or `.py` with `run(txn, upgrading)`) change them afterwards. A
new database gets both, so there is one way to the newest schema. `<name>.sqlite.sql` and
`<name>.postgres.sql` are for one engine. Every file runs once and is recorded, so that files which
are added later still run. Deltas of one version must not depend on each other's order.

Two numbers: `SCHEMA_VERSION` is what this code writes, `COMPAT_VERSION` the oldest code that may
still open a database of this version. Raise the second only when a delta takes something away that
older code needs; then both versions of a fleet can run side by side while it is upgraded.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs

from ...util.clock import Clock
from ..database import DatabasePool
from ..engines._base import POSTGRES, SQLITE
from ..errors import ConflictError, DatabaseNotReadyError, WrongDatabaseError
from ..transaction import Transaction

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 2
COMPAT_VERSION = 1

_CORE = "00_core.sql"
_SUFFIXES = {".sqlite.sql": SQLITE, ".postgres.sql": POSTGRES}
_LOOK_AGAIN_SECONDS = 1.0


@attrs.frozen(order=True)
class SchemaFile:
    """A file of the schema. `version` is 0 for base files."""

    version: int
    file: str
    path: Path = attrs.field(order=False, eq=False)

    def suits(self, engine: str) -> bool:
        """Whether the file is meant for an engine."""
        return all(
            engine == only for suffix, only in _SUFFIXES.items() if self.file.endswith(suffix)
        )


@attrs.frozen
class Schema:
    """The schema files in a folder, and the two versions."""

    folder: Path
    version: int
    compat_version: int

    def files(self, engine: str) -> list[SchemaFile]:
        """What a database on this engine has to have run, in order."""
        found = [SchemaFile(0, path.name, path) for path in self.folder.glob("*.sql")]
        for folder in self.folder.glob("delta/*"):
            if folder.name.isdigit() and int(folder.name) <= self.version:
                paths = (*folder.glob("*.sql"), *folder.glob("*.py"))
                found.extend(SchemaFile(int(folder.name), path.name, path) for path in paths)
        return sorted(file for file in found if file.suits(engine))


SCHEMA = Schema(Path(__file__).parent, SCHEMA_VERSION, COMPAT_VERSION)


async def prepare_core(db: DatabasePool, schema: Schema = SCHEMA) -> None:
    """Create the tables of the machinery, if need be, and refuse a database that is too new.

    The master does this first: it must hold its lease before it changes anything else.
    """
    try:
        await db.run("prepare_core", _prepare_core_txn, schema)
    except (ConflictError, db.engine.driver_error):
        # Another master may have created the tables meanwhile; if not, this fails again.
        await db.run("prepare_core", _prepare_core_txn, schema)


def _prepare_core_txn(txn: Transaction, schema: Schema) -> None:
    if txn.has_table("schema_version"):
        _refuse_unsuitable(txn, schema)
        return
    if txn.has_table("leases"):
        raise WrongDatabaseError("The database holds tables of something else")
    core = next(file for file in schema.files(txn.engine.name) if file.file == _CORE)
    _run_file(txn, core, upgrading=False)


async def prepare_database(db: DatabasePool, schema: Schema = SCHEMA) -> None:
    """Create or upgrade the schema, all or nothing. The master only, holding its lease.

    Raises WrongDatabaseError if the database is too new for this code.
    """
    await prepare_core(db, schema)
    applied = await db.run("prepare_database", _prepare_txn, schema)
    for file in applied:
        logger.info("Applied schema file %s of version %d", file.file, file.version)


def _prepare_txn(txn: Transaction, schema: Schema) -> list[SchemaFile]:
    version = _refuse_unsuitable(txn, schema)
    missing = _missing(txn, schema)
    for file in missing:
        _run_file(txn, file, upgrading=version is not None)
    if version is None:
        txn.insert("schema_version", version=schema.version, compat_version=schema.compat_version)
    elif version < schema.version:
        txn.update(
            "schema_version",
            {},
            {"version": schema.version, "compat_version": schema.compat_version},
        )
    return missing


async def check_database(db: DatabasePool, schema: Schema = SCHEMA) -> None:
    """See whether a worker may use the database; changes nothing.

    Raises DatabaseNotReadyError while the master has yet to create or upgrade it, and
    WrongDatabaseError if waiting will not help.
    """
    await db.read("check_database", _check_txn, schema)


def _check_txn(txn: Transaction, schema: Schema) -> None:
    if not txn.has_table("schema_version"):
        raise DatabaseNotReadyError("The database is empty; the master has to create its tables")
    version = _refuse_unsuitable(txn, schema)
    if version is None:
        raise DatabaseNotReadyError("The master has yet to finish creating the tables")
    if version < schema.version:
        raise DatabaseNotReadyError(
            f"The database has schema version {version}, this worker needs {schema.version};"
            " the master has to be upgraded and started first"
        )
    # A newer master may have replaced files of ours; it vouches for them by its compat version.
    missing = _missing(txn, schema) if version == schema.version else []
    if missing:
        raise DatabaseNotReadyError(
            f"The database lacks {missing[0].file}; the master has to be restarted"
        )


async def wait_for_database(db: DatabasePool, clock: Clock, schema: Schema = SCHEMA) -> None:
    """Wait until a worker can use the database. Raises WrongDatabaseError if it never can."""
    said = ""
    while True:
        try:
            await check_database(db, schema)
            return
        except DatabaseNotReadyError as error:
            if str(error) != said:
                said = str(error)
                logger.warning("Waiting: %s", said)
        await clock.sleep(_LOOK_AGAIN_SECONDS)


def _refuse_unsuitable(txn: Transaction, schema: Schema) -> int | None:
    """The version of the database, None while it has none. Raises if it is too new."""
    row = txn.query_one("SELECT version, compat_version FROM schema_version")
    if row is None:
        return None
    version, compat_version = row
    if compat_version > schema.version:
        raise WrongDatabaseError(
            f"The database has schema version {version} and can be opened by code from schema"
            f" version {compat_version} on; this code has {schema.version}. Install a newer release"
        )
    return int(version)


def _missing(txn: Transaction, schema: Schema) -> list[SchemaFile]:
    applied = set(txn.query("SELECT version, file FROM applied_schema_files"))
    files = schema.files(txn.engine.name)
    return [file for file in files if (file.version, file.file) not in applied]


def _run_file(txn: Transaction, file: SchemaFile, *, upgrading: bool) -> None:
    if file.path.suffix == ".py":
        _load(file.path).run(txn, upgrading)
    else:
        _run_statements(txn, txn.engine.schema_statements(file.path.read_text("utf-8")))
    txn.insert("applied_schema_files", version=file.version, file=file.file)


def _run_statements(txn: Transaction, statements: Iterable[str]) -> None:
    for statement in statements:
        txn.execute(statement)


def _load(path: Path) -> Any:
    """A scripted delta as a module; its name starts with a number, so it cannot be imported."""
    spec = importlib.util.spec_from_file_location(f"schema_delta_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
