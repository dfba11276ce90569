"""One training run: batches, augmentation, optimisation, checkpoints."""
