"""The commands of `siamese-emotion`, each in a module of its own."""
from __future__ import annotations

import typer

from siamese_emotion_ros.cli.average import average
from siamese_emotion_ros.cli.benchmark import benchmark
from siamese_emotion_ros.cli.benchmark_knn import benchmark_knn
from siamese_emotion_ros.cli.evaluate import evaluate
from siamese_emotion_ros.cli.evaluate_bag import evaluate_bag
from siamese_emotion_ros.cli.export import export
from siamese_emotion_ros.cli.framing import framing
from siamese_emotion_ros.cli.gallery import gallery
from siamese_emotion_ros.cli.inspect import inspect
from siamese_emotion_ros.cli.protocol import protocol
from siamese_emotion_ros.cli.quantize import quantize
from siamese_emotion_ros.cli.robustness import robustness
from siamese_emotion_ros.cli.similar import similar
from siamese_emotion_ros.cli.train import train

app = typer.Typer(
    name="siamese-emotion",
    help="Facial emotions by siamese embeddings: train, evaluate, build galleries, look at artifacts, measure speed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    train, protocol, evaluate, evaluate_bag, robustness, framing, similar, inspect, export, average, quantize,
    benchmark, benchmark_knn,
):
    app.command()(command)
app.add_typer(gallery, name="gallery")


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
