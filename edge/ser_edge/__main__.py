"""`python -m ser_edge` is `ser-edge`."""

import sys

from ser_edge.cli import main

sys.exit(main())
