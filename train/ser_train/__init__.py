"""ser_train: corpora in, trained networks and their honest figures out. See `ser-train --help`."""
