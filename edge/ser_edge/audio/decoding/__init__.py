"""Audio files and byte streams to samples: libsndfile, or FFmpeg for the formats that it lacks."""
