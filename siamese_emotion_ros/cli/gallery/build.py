"""`siamese-emotion gallery build`: the faces of a data set, of folders or of a recording as anchors."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, List, Optional, Sequence, Tuple

import typer

from siamese_emotion_ros.cli.errors import reported
from siamese_emotion_ros.cli.options import (
    DEVICE,
    FORCE,
    HALF,
    JUDGE,
    LABELLED_FACES,
    LABELLED_FACES_ROOT,
    LOADER_OPTIONS,
    NEW_GALLERY,
    seed_option,
)
from siamese_emotion_ros.cli.source import options_of

if TYPE_CHECKING:
    import numpy as np

    from siamese_emotion_ros.datasets.face_set import FaceSet


@reported()
def build(
    model: Path = typer.Option(..., help="Model file that embeds the anchors."),
    dataset: str = LABELLED_FACES,
    root: Path = LABELLED_FACES_ROOT,
    output: Path = NEW_GALLERY,
    split: Optional[str] = typer.Option(
        None, help="How the data set is split (official, stratified, subject, paper): the faces of its train part "
        "become anchors; or all, for every face. Default: official where it has one, else all."
    ),
    seed: int = seed_option("Seed of the split and of the condensation."),
    classes: Optional[str] = typer.Option(
        None, help="Label set (a, b, seven, eight) or emotions such as anger,happiness,neutral. Default: those of the "
        "seven that the data set has faces of."
    ),
    anchors: Optional[int] = typer.Option(None, help="Keep about this many (default: all)."),
    balance: float = typer.Option(
        0.0, help="When condensing: 0 keeps the emotions' proportions, 1 gives each the same number."
    ),
    confirmed: bool = typer.Option(
        False, "--confirmed", help="Take only faces whose label the FER+ majority confirms."
    ),
    support: float = typer.Option(
        0.0, help="Take only faces whose own label at least this share of the FER+ voters chose, such as 0.25."
    ),
    corrected: float = typer.Option(
        0.0, help="Where at least this share of the FER+ voters agrees on an emotion, such as 0.6, the anchor gets "
        "that emotion as its label, whatever its own says."
    ),
    method: str = typer.Option("random", help="How the anchors are chosen: random, herding, hart, kmeans or edited."),
    judge: str = JUDGE,
    k: int = typer.Option(15, help="Neighbours that vote."),
    known_share: Optional[float] = typer.Option(
        None, help="Calibrate on the val faces: set the threshold so that this share of the correctly recognised ones "
        "stays known (such as 0.95), and rescale the vote so that confidence is the probability of being right."
    ),
    image_size: Optional[int] = typer.Option(
        None, min=1, max=512,
        help="Also store the faces, this many pixels square, to embed them again for another model.",
    ),
    half: bool = HALF,
    option: Optional[List[str]] = LOADER_OPTIONS,
    device: str = DEVICE,
    force: bool = FORCE,
) -> None:
    """Embed the training faces of a data set as a gallery, condensed and calibrated on request."""
    from siamese_emotion_ros.cli.gallery.calibration import check_known_share
    from siamese_emotion_ros.cli.gallery.output import write_and_tell
    from siamese_emotion_ros.cli.loading import load_faces
    from siamese_emotion_ros.cli.output import plain_console, refuse_existing
    from siamese_emotion_ros.cli.progress import face_progress
    from siamese_emotion_ros.datasets.ferplus import keep_confirmed, keep_supported, relabel_agreed
    from siamese_emotion_ros.recognition.calibration import calibrated
    from siamese_emotion_ros.recognition.condensation import (
        EDITING,
        JUDGES,
        check_judge,
        check_method,
        clear_by,
        condense,
        draw,
    )
    from siamese_emotion_ros.recognition.embedding import embed_faces
    from siamese_emotion_ros.recognition.emotions import SEVEN, parse_label_set
    from siamese_emotion_ros.recognition.gallery import build_gallery
    from siamese_emotion_ros.recognition.model import EmbeddingModel

    options = options_of(option)
    refuse_existing(output, force)
    check_method(method)
    check_judge(judge)
    if anchors is None and (method, balance, judge) != ("random", 0.0, "neighbors"):
        raise ValueError("--method, --balance and --judge decide which anchors are kept: give their number, --anchors")
    if judge != JUDGES[0] and method not in EDITING:
        raise ValueError(f"--judge {judge} decides which anchors are clear, which --method {method} does not use")
    if known_share is not None:
        check_known_share(known_share)
    embedder = EmbeddingModel.load(model, device)
    wanted = parse_label_set(classes) if classes else None
    faces = load_faces(dataset, root, options)
    wanted = wanted or tuple(label for label in SEVEN if faces.counts().get(label))
    faces, for_anchors, for_calibration = _parts(faces, wanted, split, seed)
    if known_share is not None and not len(for_calibration):
        raise ValueError(
            "--known-share needs faces that are not anchors, and here all are: --split stratified keeps some back"
        )

    train = faces.select(for_anchors)
    if corrected:
        train = relabel_agreed(train, corrected)
    if confirmed:
        train = keep_confirmed(train)
    if support:
        train = keep_supported(train, support)
    if anchors is not None:  # in any case, since it refuses numbers that cannot be before all are embedded
        drawn = draw(train.labels, len(train.classes), anchors, seed, balance)
        if method == "random":
            train = train.select(drawn)
    if not 1 <= k <= len(train):
        raise ValueError(f"--k is {k}: expected 1 to {len(train)}, the number of anchors")
    console = plain_console()
    with face_progress("embedding faces") as progress:
        built = build_gallery(
            embedder, train.faces, train.labels, train.classes, train.names, k, image_size=image_size,
            progress=progress,
        )
    if anchors is not None and method != "random":
        clear = None
        if method in EDITING:
            with face_progress("judging anchors") as progress:
                clear = clear_by(judge, built, embedder, progress)
        with console.status(f"condensing to {anchors} anchors"):
            built = condense(built, anchors, method, seed, balance, clear)
    if known_share is not None:
        val = faces.select(for_calibration)
        with face_progress("calibrating") as progress:
            embeddings = embed_faces(embedder, val.faces, progress)
        built = calibrated(built, embeddings, val.labels, known_share)
    write_and_tell(console, output, built, half)


def _parts(
    faces: FaceSet, classes: Sequence[str], split: Optional[str], seed: int
) -> Tuple[FaceSet, np.ndarray, np.ndarray]:
    """The faces of `classes`, and indices of those that become anchors, and that stay back to calibrate them."""
    import numpy as np

    from siamese_emotion_ros.datasets.splits import split_classes

    if split == "all" or (split is None and faces.official_split is None):
        faces = faces.restrict(classes)
        return faces, np.arange(len(faces)), np.empty(0, np.int64)
    faces, parts = split_classes(faces, classes, split or "official", seed)
    return faces, parts["train"], parts["val"]
