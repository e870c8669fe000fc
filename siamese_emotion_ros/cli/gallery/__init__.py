"""`siamese-emotion gallery`: make, look at and change the anchors that faces are compared with."""
from __future__ import annotations

import typer

from siamese_emotion_ros.cli.gallery.build import build
from siamese_emotion_ros.cli.gallery.calibrate import calibrate
from siamese_emotion_ros.cli.gallery.compare import compare
from siamese_emotion_ros.cli.gallery.condense import condense
from siamese_emotion_ros.cli.gallery.inspect import inspect
from siamese_emotion_ros.cli.gallery.merge import merge
from siamese_emotion_ros.cli.gallery.reembed import reembed
from siamese_emotion_ros.cli.gallery.relabel import relabel
from siamese_emotion_ros.cli.gallery.verify import verify

gallery = typer.Typer(no_args_is_help=True, help="Make, look at and change galleries of labelled anchors.")
for command in (build, inspect, condense, compare, calibrate, merge, relabel):
    gallery.command()(command)
gallery.command("re-embed")(reembed)
gallery.command()(verify)
