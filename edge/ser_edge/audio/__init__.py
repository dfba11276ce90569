"""Audio as it comes (files, pipes, arrays, raw samples) becomes mono float32 at the rate that a model takes."""
