"""`python -m ser_export` is `ser-export`."""

import sys

from ser_export.cli.app import main

sys.exit(main())
