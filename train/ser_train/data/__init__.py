"""Corpora: found, parsed, split by protocol, and turned into cached features."""
