"""What the benchmark needs beside the server: packages of PyPI, and programs of the system.

The packages are installed into an environment of their own under `.benchmarks`, when they are
first wanted. Programs of the system are only looked for.
"""

from __future__ import annotations

import ast
import glob
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.harness.databases import POSTGRES_VARIABLE
from tests.integration.processes import ROOT, environment

CACHE = ROOT / ".benchmarks"
PYTHON = CACHE / "venv" / "bin" / "python"
OWN_PYTHON = CACHE / "own" / "bin" / "python"
PY_SPY = CACHE / "venv" / "bin" / "py-spy"

NGINX = "nginx"
REDIS = "redis-server"
POSTGRES_CONTROL = "pg_ctl"

_PACKAGES = ("matrix-synapse[redis]", "psycopg2-binary", "py-spy")
_CHECK = "import synapse, psycopg2, txredisapi, hiredis"
_APT = {NGINX: "nginx-light", REDIS: "redis-server", POSTGRES_CONTROL: "postgresql"}
_PLACES = ("/usr/sbin", "/usr/local/sbin", *sorted(glob.glob("/usr/lib/postgresql/*/bin")))


class MissingProgramsError(Exception):
    """Programs of the system are not there; the message says how to install them."""


def find_program(name: str) -> str:
    """The path of a program. Raises MissingProgramsError."""
    check_programs([name])
    found = _find(name)
    assert found is not None
    return found


def check_programs(names: Iterable[str]) -> None:
    """Raise MissingProgramsError unless all these programs are there."""
    missing = [name for name in names if _find(name) is None]
    if missing:
        packages = " ".join(_APT[name] for name in missing)
        raise MissingProgramsError(
            f"{', '.join(missing)} not found; on Debian: apt-get install -y {packages}"
        )


def _find(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *_PLACES]))


def benchmark_python() -> Path:
    """The interpreter of an environment that has Synapse and py-spy."""
    if not PYTHON.exists():
        CACHE.mkdir(exist_ok=True)
        subprocess.run([sys.executable, "-m", "venv", str(CACHE / "venv")], check=True)
    has_all = subprocess.run([str(PYTHON), "-c", _CHECK], capture_output=True).returncode == 0
    if not has_all or not PY_SPY.exists():
        install = [str(PYTHON), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*install, *_PACKAGES], check=True)
    return PYTHON


def own_python() -> Path:
    """The interpreter of an environment with what this server needs to run, and no more.

    Packages that only tests need would be loaded too where they are there: Twisted looks for
    HTTP/2, for one.
    """
    if not OWN_PYTHON.exists():
        CACHE.mkdir(exist_ok=True)
        subprocess.run([sys.executable, "-m", "venv", str(CACHE / "own")], check=True)
    runs = [str(OWN_PYTHON), "-c", "import synapse_lite.app.homeserver, psycopg2"]
    if subprocess.run(runs, capture_output=True, env=environment()).returncode != 0:
        install = [str(OWN_PYTHON), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*install, *_requirements()], check=True)
    # As an installation does: a process that compiles its modules keeps megabytes of that.
    compiling = [str(OWN_PYTHON), "-m", "compileall", "-q", str(ROOT / "synapse_lite")]
    subprocess.run(compiling, check=True)
    return OWN_PYTHON


def _requirements() -> list[str]:
    """What setup.py names as needed to run, on PostgreSQL too. Raises LookupError."""
    tree = ast.parse((ROOT / "setup.py").read_text("utf-8"))
    named = {
        node.arg: ast.literal_eval(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg in ("install_requires", "extras_require")
    }
    return [*named["install_requires"], *named["extras_require"]["postgres"]]


def run_with_postgres(module: str, arguments: Iterable[str]) -> int:
    """Run a module of this folder again, with a throw-away PostgreSQL server beside it.

    Returns its exit code. Only where `has_postgres` says that there is none yet.
    """
    check_programs([POSTGRES_CONTROL])
    command = [sys.executable, str(ROOT / "scripts" / "with_postgres")]
    return subprocess.run([*command, sys.executable, "-m", module, *arguments]).returncode


def has_postgres() -> bool:
    """Whether there is a PostgreSQL server for databases of ours."""
    return bool(os.environ.get(POSTGRES_VARIABLE))
