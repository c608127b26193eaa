"""Pid files, and whose process a pid belongs to.

A pid is used again after its process has died, so a pid file alone proves nothing: the command
line of the process must be that of ours, with the same module and the same configuration files.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ._files import StartError

_PROC = Path("/proc")


def write_pid_file(path: str, app: str, files: Sequence[str]) -> None:
    """Say in a file which process this is.

    Raises StartError when a living process of the same kind and configuration stands there.
    """
    running = running_pid(path, app, files)
    if running is not None and running != os.getpid():
        raise StartError(f"It is running already, as process {running} ({path})")
    partial = f"{path}.{os.getpid()}"
    try:
        with open(partial, "w", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n")
        os.rename(partial, path)
    except OSError as error:
        raise StartError(f"The pid file {path} cannot be written: {error}") from error


def remove_pid_file(path: str) -> None:
    """Take the pid file away if it is still ours."""
    if read_pid(path) == os.getpid():
        os.unlink(path)


def read_pid(path: str) -> int | None:
    """What a pid file says; None if there is none, or no number in it."""
    try:
        text = Path(path).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if text.isdecimal() and int(text) > 0 else None


def running_pid(path: str, app: str, files: Sequence[str]) -> int | None:
    """The pid in a pid file if that process lives and is the one meant, else None.

    `app` is the module that it was started as, `files` are configuration files that it must have
    been given (it may have more).
    """
    pid = read_pid(path)
    if pid is None or not is_process_of(pid, app, files):
        return None
    return pid


def is_process_of(pid: int, app: str, files: Sequence[str]) -> bool:
    """Whether a process runs `app` with these configuration files."""
    try:
        status = (_PROC / str(pid) / "stat").read_text("utf-8", "replace")
        raw = (_PROC / str(pid) / "cmdline").read_bytes()
        folder = os.readlink(_PROC / str(pid) / "cwd")
    except OSError:
        return False
    if status.rpartition(")")[2].split()[:1] in (["Z"], ["X"]):
        return False
    return command_fits(raw.decode("utf-8", "replace").split("\0"), folder, app, files)


def command_fits(arguments: Sequence[str], folder: str, app: str, files: Sequence[str]) -> bool:
    """Whether a command line, run in `folder`, starts `app` with these configuration files."""
    if app not in arguments and not any(
        argument.endswith(app.replace(".", "/") + ".py") for argument in arguments
    ):
        return False
    given = {os.path.realpath(os.path.join(folder, argument)) for argument in arguments}
    given |= {
        os.path.realpath(os.path.join(folder, argument.removeprefix("--config=")))
        for argument in arguments
        if argument.startswith("--config=")
    }
    return given.issuperset(os.path.realpath(file) for file in files)
