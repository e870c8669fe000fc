"""Options that several commands take in the same words."""
from __future__ import annotations

from typing import Any

import typer

MODEL = typer.Option(None, help="Model file. Default: the shipped one.")
K = typer.Option(None, help="Neighbours that vote. Default: the gallery's.")
THRESHOLD = typer.Option(None, help="Distance beyond which a face is unknown; inf = never. Default: the gallery's.")
NEW_GALLERY = typer.Option(..., help="Gallery file to write (*.gallery.safetensors).")
DEVICE = typer.Option("auto", help="auto, cpu, cuda or cuda:<n>.")
FORCE = typer.Option(False, "--force", help="Overwrite OUTPUT.")
HALF = typer.Option(False, "--half", help="Store float16 embeddings: half the size.")

#: Where labelled faces come from, recordings included.
LABELLED_FACES = typer.Option(
    "fer2013", help="Where the faces come from: fer2013, ckplus, kdef, folder, or bag (a rosbag2 recording, with "
    "--option truth=TOPIC|FILE.csv as for evaluate-bag)."
)
LABELLED_FACES_ROOT = typer.Option(..., help="Your copy of the data set, or the recording.")
LOADER_OPTIONS = typer.Option(
    None, metavar="KEY=VALUE", help="Option of the data set's loader, such as labels=ferplus; repeatable."
)
SHARED_CLASSES = typer.Option(
    None, help="Label set (a, b, seven, eight) or emotions such as anger,happiness,neutral. Default: all that both "
    "the gallery and the data set have."
)

JUDGE = typer.Option(
    "neighbors", help="What decides which anchors clearly show their emotion, for hart and edited: their "
    "neighbours (neighbors), or the model's classification head (head)."
)

#: Of a training configuration.
OVERRIDES = typer.Argument(
    None, metavar="[SECTION.KEY=VALUE]...", help="Changes to the configuration, such as trainer.epochs=10."
)
DATA_ROOT = typer.Option(None, help="Your copy of the data set (sets data.root).")


#: numpy's RandomState and scikit-learn take no larger one.
LARGEST_SEED = 2**32 - 1


def seed_option(meaning: str) -> Any:
    """An option that is a seed, 0 by default; `meaning` is its help.

    A range with `max` would take a third of the width of `--help`.
    """

    def checked(seed: int) -> int:
        if seed > LARGEST_SEED:
            raise typer.BadParameter(f"{seed} is not in the range 0<=x<={LARGEST_SEED}.")
        return seed

    return typer.Option(0, min=0, callback=checked, help=meaning)
