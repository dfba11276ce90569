"""Reads tensors from a file of torch.save, without torch and without running its pickle.

Such a file is a zip: `data.pkl` has the names, and `data/0`, `data/1` ... the numbers. A pickle is a program that may
call any function of any module. Here nothing is called: its opcodes are interpreted as far as dictionaries of tensors
need them, and any other opcode or global is refused.
"""

import math
import pickletools
import zipfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_train.networks.whisper_weights.layout import EncoderError

_TENSOR, _PARAMETER = "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter"
_DICT = "collections OrderedDict"
_DTYPES: dict[str, np.dtype[Any]] = {"torch FloatStorage": np.dtype("<f4"), "torch HalfStorage": np.dtype("<f2")}
_VALUES = ("BINFLOAT", "BININT", "BININT1", "BININT2", "BINUNICODE", "LONG1")  # opcodes that push their argument
_CONSTANTS = {"EMPTY_TUPLE": (), "NEWFALSE": False, "NEWTRUE": True, "NONE": None}


@dataclass(frozen=True)
class _Global:
    name: str  # module and name, with a space between them


@dataclass(frozen=True)
class _Storage:
    """An entry of the zip: numbers in a row."""

    dtype: np.dtype[Any]
    key: str
    count: int


@dataclass(frozen=True)
class _Tensor:
    """A view of a storage; offset and strides count numbers."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def is_checkpoint(path: Path) -> bool:
    """Whether a zip is of torch.save."""
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/data.pkl") for name in archive.namelist())


def read_tensors(path: Path, names: Collection[str]) -> dict[str, npt.NDArray[np.float32]]:
    """The tensors of these names that the file has; other exceptions than EncoderError mean that it is damaged.

    Raises:
        EncoderError: the pickle holds something else than dictionaries, numbers, strings and float tensors.
    """
    with zipfile.ZipFile(path) as archive:
        (pickled,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        folder = pickled.removesuffix("data.pkl")
        if f"{folder}byteorder" in archive.namelist() and _read(archive, f"{folder}byteorder") != b"little":
            raise ValueError("big-endian")
        content = _interpret(_read(archive, pickled), path)
        tensors = content.get("model_state_dict", content)
        return {name: _array(tensors[name], archive, folder) for name in names if name in tensors}


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).compress_type != zipfile.ZIP_STORED:  # torch's never are; a few bytes may become gigabytes
        raise ValueError(f"{name} is compressed")
    return archive.read(name)


def _array(tensor: Any, archive: zipfile.ZipFile, folder: str) -> npt.NDArray[np.float32]:
    if not isinstance(tensor, _Tensor):
        raise TypeError("a value that is no tensor")
    storage, sizes = tensor.storage, [*tensor.shape, *tensor.strides, tensor.offset]
    last = tensor.offset + sum((n - 1) * step for n, step in zip(tensor.shape, tensor.strides, strict=True))
    if min(sizes) < 0 or not 0 < math.prod(tensor.shape) <= storage.count or last >= storage.count:
        raise ValueError("a tensor that reaches beyond its numbers")
    numbers = np.frombuffer(_read(archive, f"{folder}data/{storage.key}"), storage.dtype)
    if len(numbers) != storage.count:
        raise ValueError(f"{len(numbers)} numbers in place of {storage.count}")
    strides = [step * numbers.itemsize for step in tensor.strides]
    view = np.lib.stride_tricks.as_strided(numbers[tensor.offset :], tensor.shape, strides, writeable=False)
    return view.astype(np.float32, order="C")


def _interpret(content: bytes, path: Path) -> dict[str, Any]:
    """The dictionary that a pickle of protocol 2, torch's, describes."""
    stacks: list[list[Any]] = [[]]  # another one for each open mark
    memo: dict[int, Any] = {}
    argument: Any
    for opcode, argument, _ in pickletools.genops(content):
        stack = stacks[-1]
        match opcode.name:
            case "PROTO":
                pass
            case name if name in _VALUES:
                stack.append(argument)
            case name if name in _CONSTANTS:
                stack.append(_CONSTANTS[name])
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST":
                stack.append([])
            case "MARK":
                stacks.append([])
            case "TUPLE":
                stacks.pop()
                stacks[-1].append(tuple(stack))
            case "TUPLE1" | "TUPLE2" | "TUPLE3" as name:
                count = int(name[-1])
                stack[-count:] = [tuple(stack[-count:])]
            case "APPEND":
                value = stack.pop()
                stack[-1].append(value)
            case "APPENDS":
                stacks.pop()
                stacks[-1][-1].extend(stack)
            case "SETITEM":
                key, value = stack[-2:]
                del stack[-2:]
                _set_items(stack[-1], [key, value])
            case "SETITEMS":
                stacks.pop()
                _set_items(stacks[-1][-1], stack)
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "GLOBAL":
                if argument not in (_TENSOR, _PARAMETER, _DICT, *_DTYPES):
                    raise _unsafe(path, argument.replace(" ", "."))
                stack.append(_Global(argument))
            case "BINPERSID":
                _, kind, key, _, count = stack.pop()
                stack.append(_Storage(_DTYPES[kind.name], str(key), int(count)))
            case "REDUCE":
                arguments = stack.pop()
                stack.append(_made(stack.pop(), arguments))
            case "BUILD":  # attributes of an OrderedDict: the versions of torch's modules
                stack.pop()
            case "STOP":
                (found,) = stack
                return dict(found)
            case name:
                raise _unsafe(path, f"the opcode {name}")
    raise EOFError("a pickle without its end")


def _set_items(target: Any, items: list[Any]) -> None:
    for key, value in zip(items[::2], items[1::2], strict=True):
        if not isinstance(key, str):
            raise TypeError("a key that is no string")
        target[key] = value


def _made(function: Any, arguments: Any) -> Any:
    """What the function would make."""
    if function == _Global(_DICT) and arguments == ():
        return {}
    if function == _Global(_PARAMETER):  # a tensor, whether it is trained, and its hooks
        return arguments[0]
    if function != _Global(_TENSOR):
        raise TypeError("an object that is neither a tensor nor a dictionary")
    storage, offset, shape, strides = arguments[:4]
    if not isinstance(storage, _Storage) or not all(type(number) is int for number in (offset, *shape, *strides)):
        raise TypeError("a tensor without numbers")
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _unsafe(path: Path, what: str) -> EncoderError:
    message = f"{path}: its pickle holds more than weights ({what}), and wasn't run; give the official tiny.en.pt"
    return EncoderError(message, code="encoder-unsafe")
