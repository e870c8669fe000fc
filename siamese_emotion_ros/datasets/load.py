"""Data sets by name, for commands and configuration files."""
from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, Callable, Dict, Mapping, Union

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


def load(
    dataset: str, root: Union[str, Path], loaders: Mapping[str, Callable[..., FaceSet]] = DATASETS, **options: Any
) -> FaceSet:
    """The data set named `dataset` (one of `loaders`) from `root`; the options are those of its own function.

    Every data set takes `progress`. Raises DataSetError for an unknown name or option, and as the loader
    does.
    """
    if dataset not in loaders:
        raise DataSetError(f"unknown data set {dataset!r}: expected one of {', '.join(loaders)}")
    loader = loaders[dataset]
    known = [name for name in inspect.signature(loader).parameters if name != "root"]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise DataSetError(f"{dataset} has no option {', '.join(unknown)}: it has {', '.join(known)}")
    return loader(root, **options)
