"""Run every claim, each in a process of its own. Leaves with 1 if one does not hold.

python -m benchmarks.container.claims
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
NOT_A_CLAIM = {"__main__", "page"}
PATIENCE_S = 120


def main() -> int:
    names = sorted(path.stem for path in HERE.glob("*.py") if path.stem not in NOT_A_CLAIM)
    failed = []
    for name in names:
        command = [sys.executable, "-m", f"benchmarks.container.claims.{name}"]
        if subprocess.run(command, cwd=ROOT, timeout=PATIENCE_S, check=False).returncode:
            failed.append(name)
    print(
        f"{len(names) - len(failed)} claims hold, {len(failed)} do not" + (f": {', '.join(failed)}" if failed else "")
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
