"""`siamese-emotion gallery verify`: can a robot use this gallery, alone and with this model?"""
from __future__ import annotations

from pathlib import Path
from typing import Optional

import typer

from siamese_emotion_ros.cli.errors import reported
from siamese_emotion_ros.cli.options import DEVICE


@reported()
def verify(
    file: Path = typer.Argument(..., metavar="GALLERY", help="The gallery to check."),
    model: Optional[Path] = typer.Option(None, help="Model file that the gallery has to fit."),
    device: str = DEVICE,
) -> None:
    """Check a gallery file, and that it fits a model. Exit code 0: usable; 1: it failed a check; 2: not readable."""
    from rich.text import Text

    from siamese_emotion_ros.cli.output import plain_console, plain_table
    from siamese_emotion_ros.cli.progress import face_progress
    from siamese_emotion_ros.evaluation.gallery_check import FAILED, PASSED, check_fit, check_gallery
    from siamese_emotion_ros.recognition.artifacts import read_gallery
    from siamese_emotion_ros.recognition.model import EmbeddingModel

    gallery = read_gallery(file)
    findings = check_gallery(gallery)
    if model is not None:
        embedder = EmbeddingModel.load(model, device)
        with face_progress("embedding images") as progress:
            findings += check_fit(gallery, embedder, progress)
    table = plain_table(show_header=False)
    for _ in range(2):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        style = {PASSED: "green", FAILED: "bold red"}.get(finding.verdict, "yellow")
        table.add_row(Text(finding.verdict, style=style), finding.check, Text(finding.text))
    usable = all(finding.verdict != FAILED for finding in findings)
    console = plain_console()
    console.print(Text(str(file), style="bold"))
    console.print(table)
    against = "" if model is None else f" with {model}"
    verdict = "usable" if usable else "not usable"
    console.print(f"{verdict}{against}", style="green" if usable else "bold red", soft_wrap=True)
    if model is None:
        console.print("give --model to check that it fits one", style="dim")
    if not usable:
        raise typer.Exit(1)
