"""Faults: a whole server under load, of which processes, connections, disk or database fail.

Each round runs a deployment (master, two workers of each kind, nginx, all started by `slctl`),
lets clients talk, breaks something at moments that a seed chooses, and then compares what clients
were told with what clients and database hold. By hand:

    python -m tests.integration.faults --help
"""
