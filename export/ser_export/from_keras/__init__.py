"""What export reads: run directories, and the weights of their Keras layers."""
