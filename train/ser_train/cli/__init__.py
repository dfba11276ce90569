"""The command `ser-train`."""
