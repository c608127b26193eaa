"""Profiles by py-spy: which functions of a server's processes an operation spends its time in.

For each process a file of folded stacks (for flame graphs: speedscope, flamegraph.pl), and from it
a list of the functions with most samples of their own, and with those that they call.
"""

from __future__ import annotations

import asyncio
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from .environment import PY_SPY

SAMPLES_PER_SECOND = 250
TOP = 40

_STOP_SECONDS = 60.0

_WAITING = re.compile(
    r"^(Condition\.wait|Event\.wait|ThreadExecutor\._loop|Queue\.get|\w+\.doPoll|\w*poll|select) "
)
"""Where threads wait for work. The sampler takes some of them for busy, so they are left out."""


@asynccontextmanager
async def profiled(folder: Path, name: str, processes: Mapping[str, int]) -> AsyncIterator[None]:
    """Sample all processes meanwhile; `name` begins the names of the files in the folder."""
    files = {process: folder / f"{name}-{process}.folded" for process in processes}
    spies = [await _start(processes[process], files[process]) for process in processes]
    await asyncio.sleep(1.0)  # each looks for the interpreter of its process first
    try:
        yield
    finally:
        for spy in spies:
            if spy.returncode is None:
                spy.send_signal(signal.SIGINT)
        for spy in spies:
            async with asyncio.timeout(_STOP_SECONDS):
                await spy.wait()
        for file in files.values():
            write_top(file)


async def _start(pid: int, file: Path) -> asyncio.subprocess.Process:
    options = ["--pid", str(pid), "--rate", str(SAMPLES_PER_SECOND), "--function"]
    options += ["--format", "raw", "--output", str(file), "--duration", "600"]
    nowhere = asyncio.subprocess.DEVNULL
    return await asyncio.create_subprocess_exec(
        str(PY_SPY), "record", *options, stdout=nowhere, stderr=nowhere
    )


def write_top(file: Path) -> None:
    """Write the lists beside a file of folded stacks, if there is one."""
    if file.exists():
        file.with_suffix(".top").write_text(top(file.read_text("utf-8").splitlines()), "utf-8")


def top(folded: Iterable[str], count: int = TOP) -> str:
    """The functions with most samples in folded stacks (`outer;inner 12`), as two lists."""
    own: Counter[str] = Counter()
    within: Counter[str] = Counter()
    total = 0
    for line in folded:
        stack, _, samples_text = line.rpartition(" ")
        samples = int(samples_text)
        frames = stack.split(";")
        if _WAITING.match(frames[-1]):
            continue
        total += samples
        own[frames[-1]] += samples
        for frame in set(frames):
            within[frame] += samples
    lines = [f"{total} samples of threads that did not wait"]
    total = max(total, 1)
    for title, counts in (("own time", own), ("with what they call", within)):
        lines += ["", title]
        lines += [f"{n / total:7.1%} {frame}" for frame, n in counts.most_common(count)]
    return "\n".join(lines) + "\n"
