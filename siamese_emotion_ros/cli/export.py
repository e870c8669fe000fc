"""`siamese-emotion export`: a model for other runtimes, checked against torch before it is written."""
from __future__ import annotations

from pathlib import Path
from typing import Optional

import typer

from siamese_emotion_ros.cli.errors import reported

FORMATS = ("onnx",)


def export(
    model: Optional[Path] = typer.Option(None, help="Model file. Default: the shipped one."),
    format: str = typer.Option("onnx", help="Format to write: onnx."),
    output: Optional[Path] = typer.Option(None, help="File to write. Default: the model's name with .onnx, here."),
    force: bool = typer.Option(False, "--force", help="Overwrite OUTPUT."),
) -> None:
    """Write the embedding network as ONNX; exit code 1, and no file, when it differs from torch by more than 1e-4."""
    with reported():
        matches = _export(model, format, output, force)
    if not matches:
        raise typer.Exit(1)


def _export(model: Optional[Path], format: str, output: Optional[Path], force: bool) -> bool:
    from rich.console import Console

    from siamese_emotion_ros.evaluation.onnx_export import TOLERANCE, largest_difference, to_onnx
    from siamese_emotion_ros.recognition.artifacts import read_model, write_atomically
    from siamese_emotion_ros.recognition.model import EmbeddingModel
    from siamese_emotion_ros.shipped import shipped_path

    if format not in FORMATS:
        raise ValueError(f"unknown format {format!r}: expected {', '.join(FORMATS)}")
    model = shipped_path("models", "paper_fer2013.safetensors") if model is None else model
    output = Path(model.with_suffix(f".{format}").name) if output is None else output
    if output.exists() and not force:
        raise ValueError(f"{output} exists already: name another file with --output, or add --force to replace it")
    stored = read_model(model)
    embedder = EmbeddingModel(stored, "cpu")
    content = to_onnx(stored)
    difference = largest_difference(content, embedder)

    console = Console(highlight=False, soft_wrap=True)
    console.print(f"max difference from torch: {difference:.2e} (at most {TOLERANCE:.0e})")
    if difference > TOLERANCE:
        console.print(f"{output} was not written: the exported network does not compute the same embeddings")
        return False
    write_atomically(output, content)
    side = stored.spec.input_size
    console.print(f"wrote {output} ({len(content) / 1e6:.1f} MB): faces float32 [N, 1, {side}, {side}] "
                  f"({stored.spec.scaling}) to embeddings float32 [N, {stored.spec.embedding_dim}]")
    return True
