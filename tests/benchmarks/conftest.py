"""Keeps pytest out of this folder: the benchmark measures, and is no part of `make test`."""

collect_ignore_glob = ["*"]
