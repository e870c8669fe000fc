"""`siamese-emotion export`: a model for other runtimes, checked against torch before it is written."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Optional

import typer

from siamese_emotion_ros.cli.errors import reported
from siamese_emotion_ros.cli.options import FORCE, MODEL
from siamese_emotion_ros.shipped import default_model

if TYPE_CHECKING:
    from rich.console import Console

    from siamese_emotion_ros.recognition.artifacts import StoredModel

#: Format -> suffix of the file that is written when the user names none.
FORMATS = {"onnx": ".onnx", "half": ".half.safetensors"}


@reported()
def export(
    model: Optional[Path] = MODEL,
    format: str = typer.Option("onnx", help="onnx for other runtimes; half for a model file of float16 weights."),
    output: Optional[Path] = typer.Option(
        None, help="File to write. Default: the model's name, in the current folder."
    ),
    force: bool = FORCE,
) -> None:
    """Convert a model. For ONNX: exit code 1, and no file, when its embeddings are more than 1e-4 from torch's."""
    from siamese_emotion_ros.cli.output import plain_console, refuse_existing
    from siamese_emotion_ros.recognition.artifacts import read_model

    if format not in FORMATS:
        raise ValueError(f"unknown format {format!r}: expected {' or '.join(FORMATS)}")
    model = model or default_model()
    output = Path(model.stem + FORMATS[format]) if output is None else output
    refuse_existing(output, force)
    write = _write_onnx if format == "onnx" else _write_half
    if not write(read_model(model), output, plain_console()):
        raise typer.Exit(1)


def _write_onnx(stored: StoredModel, output: Path, console: Console) -> bool:
    from siamese_emotion_ros.evaluation.onnx_export import TOLERANCE, largest_difference, to_onnx
    from siamese_emotion_ros.recognition.model import EmbeddingModel
    from siamese_emotion_ros.recognition.whole_files import write_atomically

    content = to_onnx(stored)
    difference = largest_difference(content, EmbeddingModel(stored, "cpu"))
    console.print(f"max difference from torch: {difference:.2e} (at most {TOLERANCE:.0e})")
    if difference > TOLERANCE:
        console.print(f"{output} was not written: the exported network does not compute the same embeddings",
                      soft_wrap=True)
        return False
    write_atomically(output, content)
    side = stored.spec.input_size
    console.print(f"wrote {output} ({len(content) / 1e6:.1f} MB): faces float32 [N, 1, {side}, {side}] "
                  f"({stored.spec.scaling}) to embeddings float32 [N, {stored.spec.embedding_dim}]", soft_wrap=True)
    return True


def _write_half(stored: StoredModel, output: Path, console: Console) -> bool:
    import torch

    from siamese_emotion_ros.recognition.artifacts import write_model
    from siamese_emotion_ros.recognition.networks import is_quantized

    if is_quantized(stored.spec.architecture):
        raise ValueError(f"the weights of {stored.spec.architecture} are 8-bit integers: half is for float weights")
    state = {name: torch.from_numpy(array) for name, array in stored.weights.items()}
    fingerprint = write_model(output, state, stored.spec, half=True)
    same = "its weights were float16 already, so it is the same model"
    another = "with float16 weights it is another model, so build its galleries from this file"
    console.print(f"wrote {output} ({output.stat().st_size / 1e6:.1f} MB, {fingerprint[:12]}): "
                  f"{same if fingerprint == stored.fingerprint else another}", soft_wrap=True)
    return True
