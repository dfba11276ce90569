"""The other ways: the notebook's, and what people would use instead of ser-edge."""
