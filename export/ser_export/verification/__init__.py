"""Proof that an exported file answers as Keras does, and the report of it."""
