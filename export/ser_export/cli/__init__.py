"""The command `ser-export`."""
