"""What finished networks are worth: metrics, calibration, robustness, cross-corpus results, model selection."""
