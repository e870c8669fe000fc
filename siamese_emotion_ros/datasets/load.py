"""Data sets by name, for commands and configuration files."""
from __future__ import annotations

import collections.abc
import inspect
import typing
from pathlib import Path
from typing import Any, Callable, Dict, Mapping, Tuple, Union

from .ckplus import load_ckplus
from .face_set import DataSetError, FaceSet
from .fer2013 import load_fer2013
from .folder import load_folder
from .kdef import load_kdef

DATASETS: Dict[str, Callable[..., FaceSet]] = {
    "fer2013": load_fer2013,
    "ckplus": load_ckplus,
    "kdef": load_kdef,
    "folder": load_folder,
}

#: What messages call the types of options; functions can only be given by programs.
_TYPES = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "text"}


def load(
    dataset: str, root: Union[str, Path], loaders: Mapping[str, Callable[..., FaceSet]] = DATASETS, /, **options: Any
) -> FaceSet:
    """The data set named `dataset` (one of `loaders`) from `root`; the options are those of its own function.

    Every data set takes `progress`. Raises DataSetError for an unknown name or option, for one of another type, and as
    the loader does.
    """
    if dataset not in loaders:
        raise DataSetError(f"unknown data set {dataset!r}: expected one of {', '.join(loaders)}")
    loader = loaders[dataset]
    hints = typing.get_type_hints(loader)
    known = {name: _kinds(hints[name]) for name in inspect.signature(loader).parameters if name != "root"}
    unknown = sorted(str(name) for name in set(options) - set(known))
    if unknown:
        sayable = [name for name, kinds in known.items() if not any(map(_is_function, kinds))]
        raise DataSetError(f"{dataset} has no option {', '.join(unknown)}: it has {', '.join(sayable)}")
    for name, value in options.items():
        if not any(_is_of(value, kind) for kind in known[name]):
            expected = dict.fromkeys(_called(kind) for kind in known[name] if kind is not type(None))
            raise DataSetError(f"{name} is {value!r}: expected {' or '.join(expected)}")
    return loader(root, **options)


def _kinds(hint: Any) -> Tuple[Any, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) is Union else (hint,)


def _is_function(kind: Any) -> bool:
    return typing.get_origin(kind) is collections.abc.Callable


def _is_of(value: Any, kind: Any) -> bool:
    """Whether an option may have this value; a whole number is a number, too, and neither is true or false."""
    if _is_function(kind):
        return callable(value)
    if typing.get_origin(kind) is not None:
        return isinstance(value, (list, tuple)) and all(_is_of(item, typing.get_args(kind)[0]) for item in value)
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def _called(kind: Any) -> str:
    if _is_function(kind):
        return "a function"
    if typing.get_origin(kind) is not None:
        return f"a list of {_called(typing.get_args(kind)[0])}, such as [A, B]"
    return _TYPES[kind]
