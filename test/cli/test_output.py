"""Outputs and numbers that cannot be are refused before the work: none of the inputs named here is there."""
from __future__ import annotations

import errno
import os
import re
import sys

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from siamese_emotion_ros.cli.errors import reported
from siamese_emotion_ros.cli.gallery import gallery
from siamese_emotion_ros.cli.main import app
from siamese_emotion_ros.recognition.condensation import METHODS

FACES = ("--dataset", "folder", "--root", "nowhere")
FILES = ("--model", "m", "--gallery", "g")
COMMANDS = [
    *(("evaluate", *FACES, flag) for flag in ("--json", "--html")),
    *(("evaluate-bag", "nowhere", flag) for flag in ("--json", "--html", "--video")),
    *(("robustness", *FACES, *FILES, flag) for flag in ("--csv", "--plot")),
    ("framing", *FACES, *FILES, "--csv"),
    ("export", "--model", "m", "--force", "--output"),
    ("benchmark", "--model", "m", "--json"),
    *(("benchmark-knn", "--sizes", "0", flag) for flag in ("--json", "--csv")),
    ("gallery", "build", "--model", "m", *FACES, "--output"),
]
#: Commands whose output is a folder.
RUNS = [("train", "--config", "compact_fer2013", "--output"), ("protocol", "--output")]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_an_output_that_is_a_folder_or_in_no_folder_of_ours_is_refused_at_once(tmp_path, command):
    result = CliRunner().invoke(app, [*command, str(tmp_path)])
    assert result.exit_code == 2 and f"{tmp_path} is a folder: name a file in it" in result.output
    file = tmp_path / "file"
    file.write_bytes(b"")
    result = CliRunner().invoke(app, [*command, str(file / "below" / "it")])
    assert result.exit_code == 2 and f"{file} takes no file (Not a directory)" in result.output
    result = CliRunner().invoke(app, [*command, "/proc/x"])
    assert result.exit_code == 2 and "/proc/x cannot be written, /proc takes no file" in result.output
    file.unlink()
    os.mkfifo(file)
    result = CliRunner().invoke(app, [*command, str(file)])
    assert result.exit_code == 2 and f"{file} is a device or pipe, which would be replaced" in result.output
    assert [*tmp_path.iterdir()] == [file] and file.is_fifo()


@pytest.mark.parametrize("command", RUNS, ids=" ".join)
def test_a_file_is_no_folder_for_a_run(tmp_path, command):
    file = tmp_path / "file"
    file.write_bytes(b"")
    result = CliRunner().invoke(app, [*command, str(file)])
    assert result.exit_code == 2 and f"{file} takes no file (Not a directory)" in result.output


def test_a_package_that_lacks_another_says_so_itself():
    command = typer.Typer()

    @command.command()
    @reported()
    def tell() -> None:
        raise ModuleNotFoundError("Neither a nor b is available.\nTry pip.")

    result = CliRunner().invoke(command, [])
    assert result.exit_code == 2 and result.output == "siamese-emotion: Neither a nor b is available. Try pip.\n"


def test_numbers_that_are_none_are_refused_with_their_option():
    result = CliRunner().invoke(app, ["framing", *FACES, *FILES, "--margins", "0,abc"])
    assert result.exit_code == 2 and "--margins is '0,abc': expected numbers" in result.output
    result = CliRunner().invoke(app, ["evaluate", *FACES, "--seed", "-1"])
    assert result.exit_code == 2 and "--seed" in result.output


def test_help_names_every_method_on_a_narrow_terminal():
    help_text = CliRunner().invoke(app, ["gallery", "compare", "--help"], env={"COLUMNS": "80"}).output
    assert all(method in help_text for method in METHODS)


def test_help_cuts_no_word_on_a_narrow_terminal_and_names_recordings():
    names = [[name] for name in get_command(app).commands if name != "gallery"]
    names += [["gallery", name] for name in get_command(gallery).commands]
    for name in names:
        help_text = CliRunner().invoke(app, [*name, "--help"], env={"COLUMNS": "80"}).output
        assert "--help" in help_text and not re.search(r"\w…", help_text), name
        assert ("--dataset " in help_text) <= bool(re.search(r"\bbag\b", help_text)), f"{name} takes a recording, too"


@pytest.mark.parametrize("command, reason", [
    (("gallery", "build", "--model", "m", *FACES, "--output", "g", "--method", "kmeans"), "their number, --anchors"),
    (("gallery", "build", "--model", "m", *FACES, "--output", "g", "--balance", "0.5"), "their number, --anchors"),
    (("gallery", "build", "--model", "m", *FACES, "--output", "g", "--judge", "head"), "their number, --anchors"),
    (("benchmark", "--image", "nope.png", "--seconds", "0"), "which --seconds 0 leaves out"),
    (("evaluate", *FACES, "--personal-faces", "3"), "--personal learns from: give --personal, too"),
])
def test_an_option_that_would_do_nothing_is_refused(command, reason):
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2 and reason in result.output


def test_a_reader_that_has_had_enough_is_no_mistake_of_the_user():
    command = typer.Typer()

    @command.command()
    @reported()
    def tell() -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    stdout = sys.stdout
    try:
        result = CliRunner().invoke(command, [])
    finally:
        sys.stdout = stdout
    assert result.exit_code == 1 and result.output == ""


def test_ways_to_condense_are_known_before_anything_is_read():
    result = CliRunner().invoke(app, ["gallery", "compare", "nowhere", *FACES, "--methods", "random,hartt"])
    assert result.exit_code == 2 and "unknown condensation method 'hartt'" in result.output
