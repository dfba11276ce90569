"""Container formats, cut into segments that libsndfile can decode completely."""
