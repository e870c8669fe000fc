"""`siamese-emotion quantize`: a trained compact network made one of 8-bit integers."""
from __future__ import annotations

from pathlib import Path
from typing import List, Optional

import typer

from siamese_emotion_ros.cli.errors import reported
from siamese_emotion_ros.cli.options import FORCE, LABELLED_FACES, LABELLED_FACES_ROOT, LOADER_OPTIONS, seed_option
from siamese_emotion_ros.cli.source import options_of


@reported()
def quantize(
    model: Path = typer.Option(..., help="Model file of a compact network, as train writes it."),
    dataset: str = LABELLED_FACES,
    root: Path = LABELLED_FACES_ROOT,
    output: Path = typer.Option(..., help="Model file to write."),
    split: Optional[str] = typer.Option(
        None, help="How the data set is split (official, stratified, subject, paper): the quantization "
        "steps are chosen on faces of its train part and checked on as many of its val part. Default: official where "
        "it has one, else stratified."
    ),
    count: int = typer.Option(
        256, "--faces", min=1, max=4096, help="How many faces the quantization steps are chosen on."
    ),
    seed: int = seed_option("Seed of the split and of the choice of faces."),
    option: Optional[List[str]] = LOADER_OPTIONS,
    force: bool = FORCE,
) -> None:
    """Quantize a trained compact network to 8-bit integers, three times as fast on a CPU; say how far embeddings moved.

    The result is another model: build its galleries from OUTPUT.
    """
    from dataclasses import replace

    import numpy as np
    import torch

    from siamese_emotion_ros.cli.loading import load_faces
    from siamese_emotion_ros.cli.output import plain_console, refuse_existing
    from siamese_emotion_ros.cli.progress import face_progress
    from siamese_emotion_ros.datasets.splits import split as split_faces
    from siamese_emotion_ros.recognition.artifacts import HEAD_BIAS, HEAD_WEIGHT, read_model, write_model
    from siamese_emotion_ros.recognition.compact import CompactNetwork
    from siamese_emotion_ros.recognition.model import EmbeddingModel, load_network
    from siamese_emotion_ros.recognition.preprocessing import preprocess
    from siamese_emotion_ros.training.quantization import quantize as made_of_integers
    from siamese_emotion_ros.training.transfer import unmeasured

    refuse_existing(output, force)
    stored = read_model(model)
    if stored.spec.architecture != "compact":
        raise ValueError(f"{model} is a {stored.spec.architecture} network: only compact ones can be quantized")
    network = load_network(stored)
    assert isinstance(network, CompactNetwork)
    loaded = load_faces(dataset, root, options_of(option))
    parts = split_faces(loaded, split or ("stratified" if loaded.official_split is None else "official"), seed)
    random = np.random.default_rng(seed)
    judging, judged = (
        [loaded.faces[row] for row in random.permutation(parts[name])[:count]] for name in ("train", "val")
    )
    if not judging:
        raise ValueError("no face is left to choose the quantization steps on: check --root and --split")
    inputs = torch.from_numpy(preprocess(judging, stored.spec.input_size, stored.spec.scaling))
    with face_progress("choosing quantization steps") as progress:
        made = made_of_integers(network, inputs, progress)
    state = made.integer_state()
    for name in (HEAD_WEIGHT, HEAD_BIAS):
        if name in stored.weights:
            state[name] = torch.from_numpy(stored.weights[name])
    provenance = {
        **unmeasured(stored.spec.provenance),
        "quantized": f"from {stored.fingerprint} by {len(judging)} faces of {dataset}, train, seed {seed}",
    }
    spec = replace(stored.spec, architecture="compact_int8", provenance=provenance)
    fingerprint = write_model(output, state, spec)
    console = plain_console()
    console.print(f"wrote {output} ({output.stat().st_size / 1e6:.1f} MB, {fingerprint[:12]})", soft_wrap=True)
    if len(judged) > 1:
        before, after = EmbeddingModel(stored, "cpu").embed(judged), EmbeddingModel.load(output, "cpu").embed(judged)
        apart = np.linalg.norm(before - np.roll(before, 1, axis=0), axis=1).mean()
        moved = np.linalg.norm(before - after, axis=1).mean()
        console.print(f"embeddings of {len(judged)} val faces moved by {moved:.3f} on average, where two faces are "
                      f"{apart:.2f} apart", soft_wrap=True)
