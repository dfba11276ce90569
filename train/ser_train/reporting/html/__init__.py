"""The HTML report of `ser-train report`."""
