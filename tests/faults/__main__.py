"""The long variants of the fault tests.

    python -m tests.faults all             every kill and error point, every flipped bit, long concurrency
    python -m tests.faults kill|errors|power|rot|checkout|concurrency|sharing
    python -m tests.faults power --budget 65536   more crash states a cut (default 4096)

It runs pytest with ``ARTVC_FAULTS=full``; the counts of points and states stand at the end of its output.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

PARTS = {
    "kill": "test_kill.py",
    "errors": "test_errors.py",
    "power": "test_power_loss.py",
    "rot": "test_bit_rot.py",
    "checkout": "test_checkout_kill.py",
    "concurrency": "test_concurrency.py",
    "sharing": "test_sharing.py",
    "all": "",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--budget", type=int, default=4096, help="crash states of one cut (power)")
    chosen = parser.parse_args()
    here = Path(__file__).parent
    environment = os.environ | {"ARTVC_FAULTS": "full", "ARTVC_POWER_BUDGET": str(chosen.budget)}
    command = [sys.executable, "-m", "pytest", "-q", str(here / PARTS[chosen.part])]
    return subprocess.run(command, cwd=here.parents[1], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
