"""The command `ser-edge`."""
