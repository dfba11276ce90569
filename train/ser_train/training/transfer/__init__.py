"""Training that builds on finished networks: warm start and distillation."""
