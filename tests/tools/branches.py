"""Fails where the tests took less than 95 % of the branches of ser_edge; coverage's own limit is of lines and branches.

python tests/tools/branches.py    # after a run of pytest with --cov
"""

import argparse
import io
import json
import sys
from contextlib import redirect_stdout

from coverage import Coverage


def taken(data_file: str) -> float:
    """Percentage of branches taken, of the data that coverage wrote to this file."""
    coverage = Coverage(data_file=data_file)
    coverage.load()
    with redirect_stdout(io.StringIO()) as report:
        coverage.json_report(outfile="-")
    totals = json.loads(report.getvalue())["totals"]
    return 100 * float(totals["covered_branches"]) / max(1, totals["num_branches"])


def main() -> int:
    """Prints the percentage; the status is 1 if it is too low."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=".coverage", help="what coverage wrote (%(default)s)")
    parser.add_argument("--least", type=float, default=95, help="percentage (%(default)s)")
    arguments = parser.parse_args()
    percentage = taken(arguments.data)
    print(f"branches taken: {percentage:.1f} %, at least {arguments.least:g} % wanted")
    return int(percentage < arguments.least)


if __name__ == "__main__":
    sys.exit(main())
