"""The command line of `ser-edge`: its options, the rules by which they go together, and its help."""
