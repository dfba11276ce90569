"""Standard output on terminals with a narrow encoding."""

import io
import sys


def escape_unencodable() -> None:
    """Lets it escape what its encoding lacks, as standard error does: paths and labels have letters of any script."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
