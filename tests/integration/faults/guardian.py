"""Ends what a harness that was killed has left: daemons outlive whoever started them.

Run beside a deployment with a pipe as its standard input, which closes when the harness dies.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ..processes import ROOT, environment, processes_of, wait_for

_END_SECONDS = 20.0


def end_all(marker: str) -> None:
    """SIGKILL every process of a deployment, and wait until none is left."""
    spared = os.getpid()

    def none_left() -> bool:
        pids = [pid for pid in processes_of(marker) if pid != spared]
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return not pids

    wait_for(none_left, _END_SECONDS, "all processes have been ended")


def remove(folder: Path) -> None:
    """Remove a folder with what is mounted below it or on it."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text("utf-8").splitlines()]
    below = [path for path in mounts if Path(path) == folder or folder in Path(path).parents]
    for path in sorted(below, reverse=True):
        subprocess.run(["umount", "-l", path], check=False)
    shutil.rmtree(folder, ignore_errors=True)


class Guardian:
    """The process that watches. `folders` are removed when the harness dies."""

    def __init__(self, marker: str, folders: Sequence[Path]) -> None:
        # What it is to do comes over the pipe: nothing of the deployment is found in its own
        # command line and environment.
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        task = json.dumps([marker, [str(folder) for folder in folders]])
        self._process.stdin.write(f"{task}\n".encode())
        self._process.stdin.flush()

    def dismiss(self) -> None:
        """There is nothing left to watch."""
        self._process.kill()
        self._process.communicate()


def main() -> None:
    """Wait until the harness has died, then clear up behind it."""
    marker, folders = json.loads(sys.stdin.readline())
    sys.stdin.read()
    end_all(marker)
    for folder in folders:
        remove(Path(folder))


if __name__ == "__main__":
    main()
