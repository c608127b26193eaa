"""`python -m synapse_lite.app.slctl`, where the program `slctl` is not installed."""

from __future__ import annotations

from ._commands import main

if __name__ == "__main__":
    main()
