"""How commands are told which faces they are about: a data set, its place, a part of it and the loader's options."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Optional, Tuple

if TYPE_CHECKING:
    from siamese_emotion_ros.datasets.face_set import FaceSet


class Source(NamedTuple):
    """A data set on disk, and the part of it that is wanted (None = what is natural)."""

    dataset: str
    root: Path
    split: Optional[str]
    options: Dict[str, Any]

    def load(self, seed: int = 0) -> Tuple[FaceSet, FaceSet, str]:
        """The faces that are wanted, all faces of the data set, and what the part is called."""
        from siamese_emotion_ros.cli.loading import load_faces
        from siamese_emotion_ros.evaluation.parts import choose_part

        loaded = load_faces(self.dataset, self.root, self.options)
        rows, part = choose_part(loaded, self.split, seed)
        return loaded.select(rows), loaded, part

    @property
    def options_text(self) -> str:
        """The loader's options as they were given, for a report."""
        return ", ".join(f"{name}={value}" for name, value in sorted(self.options.items()))

    def is_same_copy(self, other: Source) -> bool:
        """Whether both are the same files."""
        return self.dataset == other.dataset and self.root.resolve() == other.root.resolve()


def source(
    dataset: Optional[str], root: Optional[Path], query: Optional[str], split: Optional[str],
    options: Optional[List[str]],
) -> Source:
    """The faces that --dataset and --root, or --query, name; ValueError when it is neither or both."""
    if query is not None and (dataset is not None or root is not None):
        raise ValueError("--query stands for --dataset and --root: give either --query or those two")
    if query is not None:
        return Source(*named(query, "--query"), split, options_of(options))
    if dataset is None or root is None:
        raise ValueError("no data set: give --dataset and --root, such as --dataset fer2013 --root ~/data/fer2013")
    return Source(dataset, root, split, options_of(options))


def named(text: str, flag: str) -> Tuple[str, Path]:
    """Data set and place of DATASET:PATH, which `flag` was given."""
    dataset, colon, path = text.partition(":")
    if not (dataset and colon and path):
        raise ValueError(f"{flag} is {text!r}: expected a data set and its place, such as ckplus:/data/CK+")
    return dataset, Path(path).expanduser()  # behind a colon no shell does it


def options_of(texts: Optional[List[str]]) -> Dict[str, Any]:
    """The loader's options of KEY=VALUE texts, values read as YAML."""
    from siamese_emotion_ros.training.config_file import parse_yaml

    options = {}
    for text in texts or ():
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise ValueError(f"the option {text!r} has no value: expected KEY=VALUE, such as labels=ferplus")
        try:
            options[key.strip()] = parse_yaml(value)
        except ValueError as error:
            raise ValueError(f"the option {text!r} is not YAML: expected such as angles=[S, HL]") from error
    return options
