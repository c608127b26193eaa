"""Breaks a whole server under load, and proves that nothing acknowledged is lost or doubled.

python -m tests.integration.faults --rounds 20                          kill_any on SQLite
python -m tests.integration.faults --scenario all --database postgres   each scenario in turn
"""

from __future__ import annotations

import argparse
import random
import sys
import time

from twisted.trial.unittest import SkipTest

from ..deployment import POSTGRES, SQLITE
from .round import Plan, Round, RoundFailedError
from .scenarios import SCENARIOS

ALL = "all"


def parse() -> argparse.Namespace:
    """The command line."""
    scenarios = "\n".join(f"  {scenario.name:14} {scenario.says}" for scenario in SCENARIOS)
    parser = argparse.ArgumentParser(
        prog="python -m tests.integration.faults",
        description=__doc__,
        epilog=f"scenarios:\n{scenarios}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument(
        "--scenario",
        choices=[*names, ALL],
        default=names[0],
        help=f"what to break; {ALL}: another one each round (default: {names[0]})",
    )
    parser.add_argument("--database", choices=[SQLITE, POSTGRES], default=SQLITE)
    parser.add_argument("--seed", type=int, help="chooses victims and moments (default: random)")
    parser.add_argument("--rounds", type=int, default=1, help="how many (default: 1)")
    parser.add_argument("--first", type=int, default=0, help="number of the first round")
    parser.add_argument("--sends", type=int, default=500, help="sends of a round (default: 500)")
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="how long cuts last (default: 60)"
    )
    parser.add_argument("--keep-going", action="store_true", help="go on after a failed round")
    return parser.parse_args()


def main() -> int:
    """Run the rounds. Returns 1 if one of them failed."""
    options = parse()
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    chosen = [s for s in SCENARIOS if options.scenario in (s.name, ALL)]
    chosen = [s for s in chosen if options.database in s.engines]
    if not chosen:
        sys.exit(f"{options.scenario} is not for {options.database}")
    print(f"seed {seed}, {options.rounds} rounds on {options.database}", flush=True)
    began, failed = time.monotonic(), 0
    for number in range(options.first, options.first + options.rounds):
        scenario = chosen[number % len(chosen)]
        plan = Plan(scenario, options.database, seed, number, options.sends, options.seconds)
        print(f"round {number}: {scenario.name}", flush=True)
        try:
            Round(plan, lambda text: print(text, flush=True)).run()
        except SkipTest as skipped:
            print(f"          skipped: {skipped}")
        except RoundFailedError as error:
            print(error, flush=True)
            failed += 1
            if not options.keep_going:
                break
    print(f"{'FAILED' if failed else 'PASSED'} in {time.monotonic() - began:.0f} s", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
