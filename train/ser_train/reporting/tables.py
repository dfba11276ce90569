"""Plain text: the tables of a run directory and of the README. Pictures are `pictures`', a page is `page`'s."""

from collections.abc import Sequence
from typing import Any

from sklearn.metrics import classification_report

from ser_train.runs.run_directory import Answers

__all__ = ["caution", "cell", "classification_text", "counts", "markdown_table"]

_PROTOCOL_NOTES = {
    "notebook": "train/test leakage: each file twice, and the test set stops the training",
    "utterance": "new recordings of the speakers it was trained on",
    "speaker": "**speakers it was not trained on: what to expect**",
}


_FEW_VOICES = 3  # fewer say nothing of other voices


def caution(protocol: str, voices: int) -> str:
    """Why figures mean little or nothing; "" where they mean something.

    >>> caution("all", 24), caution("speaker", 1), caution("speaker", 5)
    ('mean nothing: voices that it was trained on', 'say little: of one voice alone', '')
    """
    if protocol == "all":
        return "mean nothing: voices that it was trained on"
    return f"say little: of {'one voice' if voices == 1 else f'{voices} voices'} alone" if voices < _FEW_VOICES else ""


def classification_text(answers: Answers, names: Sequence[str]) -> str:
    """scikit-learn's `classification_report`: precision, recall and F1 of each label."""
    guesses = answers.probabilities.argmax(1)
    every = range(len(names))
    text: str = classification_report(
        answers.labels, guesses, labels=every, target_names=names, digits=3, zero_division=0
    )
    return text


def markdown_table(rows: Sequence[dict[str, Any]]) -> str:
    """The figure table of the README, from the rows of `train/results.json`: protocols side by side."""
    protocols = [p for p in _PROTOCOL_NOTES if any(row["protocol"] == p for row in rows)]
    lines = [
        "| network | " + " | ".join(f"`{p}`: WA / UAR / macro-F1, %" for p in protocols) + " |",
        "|---|" + "---|" * len(protocols),
    ]
    for network in dict.fromkeys(row["network"] for row in rows):
        cells = []
        for protocol in protocols:
            found = [r for r in rows if (r["network"], r["protocol"]) == (network, protocol)]
            cells.append(cell(found[0]) if found else "")
        lines.append(f"| `{network}` | " + " | ".join(cells) + " |")
    lines.append("| | " + " | ".join(_PROTOCOL_NOTES[p] for p in protocols) + " |")
    counted = "; ".join(f"`{p}`: {counts(next(r for r in rows if r['protocol'] == p))}" for p in protocols)
    about = "; ".join(
        dict.fromkeys(f"{r['corpus']}, {r['labels']} emotions (chance {100 / r['labels']:.1f} %)" for r in rows)
    )
    lines += ["", f"Test accuracy on {about}. {counted}. Brackets: 95 % interval over actors."]
    return "\n".join(lines) + "\n"


def cell(row: dict[str, Any]) -> str:
    """WA, UAR and macro-F1 of a row, and WA's interval."""
    wa, uar, f1 = (row[name] for name in ("wa", "uar", "f1"))
    return f"{wa['mean']:.1f} / {uar['mean']:.1f} / {f1['mean']:.1f} ({wa['low']:.0f}-{wa['high']:.0f})"


def counts(row: dict[str, Any]) -> str:
    """Like "5 folds x 3 seeds"."""
    return " x ".join(f"{n} {what}{'s' * (n > 1)}" for n, what in ((row["folds"], "fold"), (row["seeds"], "seed")))
