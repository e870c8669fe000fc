"""Options that several commands take in the same words."""
from __future__ import annotations

import typer

DEVICE = typer.Option("auto", help="auto, cpu, cuda or cuda:<n>.")
FORCE = typer.Option(False, "--force", help="Overwrite OUTPUT.")
HALF = typer.Option(False, "--half", help="Store float16 embeddings: half the size.")
LOADER_OPTIONS = typer.Option(
    None, metavar="KEY=VALUE", help="Option of the data set's loader, such as labels=ferplus; repeatable."
)
