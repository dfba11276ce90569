"""`python -m ser_train` is `ser-train`."""

import sys

from ser_train.cli.app import main

sys.exit(main())
