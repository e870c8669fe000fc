"""`siamese-emotion average`: the mean of the weights of several models."""
from __future__ import annotations

from pathlib import Path
from typing import List

import typer

from siamese_emotion_ros.cli.errors import reported
from siamese_emotion_ros.cli.options import FORCE


@reported()
def average(
    models: List[Path] = typer.Argument(
        ..., help="Model files of one architecture, each trained from another of them or all from the same model."
    ),
    output: Path = typer.Option(..., help="Model file to write."),
    force: bool = FORCE,
) -> None:
    """Average the weights of models with a common starting point; the result often beats each of them.

    It is another model: build its galleries from OUTPUT.
    """
    from dataclasses import replace

    from siamese_emotion_ros.cli.output import plain_console, refuse_existing
    from siamese_emotion_ros.recognition.artifacts import read_model, write_model
    from siamese_emotion_ros.training.averaging import mean_weights
    from siamese_emotion_ros.training.transfer import unmeasured

    refuse_existing(output, force)
    stored = [read_model(model) for model in models]
    last = stored[-1]
    provenance = {**unmeasured(last.spec.provenance), "average_of": ", ".join(model.fingerprint for model in stored)}
    fingerprint = write_model(output, mean_weights(stored), replace(last.spec, provenance=provenance))
    plain_console().print(
        f"wrote {output} ({output.stat().st_size / 1e6:.1f} MB, {fingerprint[:12]})", soft_wrap=True
    )
