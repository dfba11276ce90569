"""The front-end: MFCC and log-mel features in NumPy, for whole signals and for streams."""
