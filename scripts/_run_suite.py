"""Runs trial on both cores, then the integration tests one by one, and adds up what they say."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

_SUMMARY = re.compile(r"^(PASSED|FAILED)(?: \((.*)\))?$", re.MULTILINE)
_RAN = re.compile(r"^Ran (\d+) tests? in", re.MULTILINE)


def run_trial(arguments: list[str]) -> tuple[int, int, int]:
    """Run trial and pass its output on. Returns how many passed, failed, were skipped."""
    folder = tempfile.mkdtemp(prefix="synapse_lite-trial-")
    command = [sys.executable, "-m", "twisted.trial", "--temp-directory", f"{folder}/trial"]
    output: list[str] = []
    try:
        with subprocess.Popen(
            [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                sys.stdout.write(line)
                sys.stdout.flush()
                output.append(line)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return count("".join(output), process.returncode)


def count(text: str, returncode: int) -> tuple[int, int, int]:
    """The figures of trial's summary. A run without one has failed."""
    found = _SUMMARY.findall(text)
    if not found:
        return 0, 1, 0
    numbers = {
        name: int(number)
        for name, number in (
            part.split("=") for part in found[-1][1].split(", ") if "=" in part
        )
    }
    failed = sum(numbers.get(name, 0) for name in ("failures", "errors", "unexpectedSuccesses"))
    if returncode != 0 and failed == 0:
        failed = 1
    return numbers.get("successes", 0), failed, numbers.get("skips", 0)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--extra-failures", type=int, default=0)
    parser.add_argument("--without-integration", action="store_true")
    parser.add_argument("--no-skips", action="store_true")
    parser.add_argument("modules", nargs="+")
    options = parser.parse_args()
    runs = []
    if options.modules == ["tests"]:
        packages = sorted(
            f"tests.{entry.name}"
            for entry in os.scandir("tests")
            if entry.is_dir()
            and os.path.exists(f"{entry.path}/__init__.py")
            and entry.name not in ("harness", "integration", "data")
        )
        runs.append(["-j2", *packages])
        if not options.without_integration:
            runs.append(["tests.integration"])
    else:
        runs.append(options.modules)
    passed, failed, skipped = 0, options.extra_failures, 0
    for arguments in runs:
        figures = run_trial(arguments)
        passed, failed, skipped = (
            total + figure for total, figure in zip((passed, failed, skipped), figures, strict=True)
        )
    if options.no_skips and skipped:
        print(f"{skipped} skipped tests count as failures here")
        failed += skipped
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
