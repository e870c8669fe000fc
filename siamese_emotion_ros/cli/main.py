"""The commands of `siamese-emotion`, each in a module of its own."""
from __future__ import annotations

import typer

from siamese_emotion_ros.cli.gallery import gallery
from siamese_emotion_ros.cli.train import train

app = typer.Typer(
    name="siamese-emotion",
    help="Facial emotions by siamese embeddings: train, evaluate, build galleries, look at artifacts, measure speed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("train")(train)
app.add_typer(gallery, name="gallery")


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
