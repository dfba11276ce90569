"""Many files at a time, in order: on all cores, or on a Dask cluster."""
