"""`ser-edge --print-completion`: the script by which a shell completes options, their values and files."""

from collections.abc import Sequence
from shlex import join

from ser_edge.cli.arguments.options import parser
from ser_edge.cli.arguments.types import FORMATS
from ser_edge.errors import RuntimeUnavailable
from ser_edge.errors.install_hints import install_extra
from ser_edge.models.bundled.names import FILES


def completion(shell: str, labels: Sequence[str]) -> str:
    """The script for a shell.

    Args:
        shell: bash, zsh, fish or tcsh.
        labels: of the model, which --labels and --map complete.

    Raises:
        RuntimeUnavailable: shtab isn't installed.
    """
    try:
        import shtab
    except ImportError as e:
        message = f"shtab can't be loaded ({e}); try: {install_extra('completion')}"
        raise RuntimeUnavailable(message, code="extra-missing") from e
    command = parser()
    files = {"paths": shtab.FILE, "output": shtab.FILE, "output_dir": shtab.DIRECTORY, "model": _models(tuple(FILES))}
    words = {"formats": FORMATS, "labels": tuple(labels), "map": tuple(f"{label}=" for label in labels)}
    for action in command._actions:  # argparse has no other way to them
        if action.dest in files:
            vars(action)["complete"] = files[action.dest]  # which shtab looks for
        action.choices = words.get(action.dest, action.choices)
    return shtab.complete(command, shell)


def _models(names: Sequence[str]) -> dict[str, str | dict[str, str]]:
    """Completes the bundled models' names, and files."""
    function = "_ser_edge_models"
    return {
        "bash": function,
        "zsh": function,
        "fish": f"(printf '%s\\n' {join(names)}; __fish_complete_path (commandline -ct))",
        "tcsh": "f",
        "preamble": {
            "bash": f'{function}() {{ compgen -W "{join(names)}" -- "$1"; _shtab_compgen_files "$1"; }}',
            "zsh": f"{function}() {{ compadd {join(names)}; _files; }}",
        },
    }
