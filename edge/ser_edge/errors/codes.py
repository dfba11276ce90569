"""The codes of errors: stable names for programs and for docs/errors.md, whatever a message's wording."""

__all__ = ["CODES"]

CODES = {
    "archive-damaged": "a zip of a corpus that can't be unpacked",
    "audio": "audio that can't be classified",
    "cache-unwritable": "downloads or features can't be stored: a full disk, or no permission",
    "corpus": "training data that can't be used",
    "corpus-conflict": "recordings, labels or speakers of a corpus that contradict each other",
    "corpus-layout": "file names or folders that don't say which label and speaker a recording has",
    "corpus-not-found": "no folder, no file, or no sound in it, where training data should be",
    "corpus-protocol": "a protocol that isn't for this corpus",
    "corpus-table": "a table of recordings that can't be read",
    "corpus-too-small": "too few recordings, labels or speakers",
    "corpus-unreadable": "recordings of a corpus that can't be read or decoded",
    "download-failed": "a download that ended without the file",
    "error": "something that isn't a bug and has no code of its own",
    "microphone": "no usable microphone",
    "model": "a model file that can't be used",
    "runs-incomplete": "runs that are missing, so that a figure can't be made",
    "runs-mismatched": "runs whose figures can't be pooled: other settings, labels or data",
    "runtime-unavailable": "a library that a model file needs is missing or doesn't load",
    "speakers-seen": "a test speaker whom a teacher or the initial network was trained on",
    "teacher-unusable": "a run that can't teach this network",
    "training": "a training that failed",
    "training-diverged": "a training whose loss is no longer finite",
    "training-setting": "a setting that the network's recipe doesn't have, or a value out of its range",
    "warm-start-unusable": "a network that this training can't begin with",
}
