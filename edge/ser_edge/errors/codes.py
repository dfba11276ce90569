"""The codes of errors: stable names for programs and for docs/errors.md, whatever a message's wording."""

__all__ = ["CODES"]

CODES = {
    "audio": "audio that can't be classified",
    "audio-kills-worker": "a file while classifying which several workers of a cluster died",
    "cluster-lost": "the connection to the Dask scheduler broke",
    "cluster-unreachable": "no Dask scheduler answers at the address",
    "error": "something that isn't a bug and has no code of its own",
    "extra-missing": "a library of one of ser-edge's extras is missing or doesn't load",
    "microphone": "no usable microphone",
    "model": "a model file that can't be used",
    "mqtt-refused": "the MQTT broker refuses the connection",
    "mqtt-unreachable": "no MQTT broker answers at the URL",
    "process-died": "a worker process was killed, perhaps for lack of memory",
    "processes-unavailable": "a system that can't start worker processes",
    "runtime-unavailable": "a library that a model file needs is missing or doesn't load",
    "sound-system-stalled": "the sound system doesn't answer",
    "worker-mismatch": "a cluster's worker has another version of ser-edge or another model",
    "worker-without-ser-edge": "a cluster's worker has no ser-edge",
}
