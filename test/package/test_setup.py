"""scripts/setup names what is missing, repeats after an interruption, and keeps what is there."""
import os
import shutil
import subprocess
import sys

import pytest


@pytest.fixture
def fresh_copy(tmp_path, source):
    """What scripts/setup reads, in a folder without .venv."""
    root = tmp_path / "clone"
    (root / "scripts").mkdir(parents=True)
    for name in ("scripts/setup", "setup.py", "package.xml"):
        shutil.copy(str(source / name), str(root / name))
    shutil.copytree(str(source / "requirements"), str(root / "requirements"))
    return root


def run_setup(root, **environment):
    """Run scripts/setup with nothing but these environment variables; give its status and what it says."""
    result = subprocess.run(
        [sys.executable, "-S", str(root / "scripts" / "setup"), "demo"],
        env={"PYTHON": sys.executable, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return result.returncode, result.stdout


def test_names_missing_tools_with_their_apt_packages(fresh_copy, tmp_path):
    status, said = run_setup(fresh_copy, PATH=str(tmp_path))
    assert status == 1
    assert "sudo apt install g++ cmake make" in said
    assert not (fresh_copy / ".venv").exists()


def test_names_colcon_beside_a_sourced_ros(fresh_copy, tmp_path):
    status, said = run_setup(fresh_copy, PATH=str(tmp_path), ROS_DISTRO="jazzy", AMENT_PREFIX_PATH="/opt/ros/jazzy")
    assert status == 1
    assert "python3-colcon-common-extensions" in said


def test_refuses_wheels_that_do_not_exist(fresh_copy):
    status, said = run_setup(fresh_copy, PATH=os.environ["PATH"], ROS_WHEELS="noetic")
    assert status == 1
    assert "'noetic'" in said
    assert "kilted or jazzy" in said


def test_refuses_an_interpreter_that_has_no_wheels(setup_script):
    with pytest.raises(setup_script.SetupError, match="PYTHON=python3.12"):
        setup_script.check_interpreter("python3", {"version": [3, 9, 1], "implementation": "cpython"}, "jazzy")


def test_half_installed_packages_are_installed_again(setup_script):
    packages = setup_script.VENV / "lib" / "python3.11" / "site-packages"
    whole, half = packages / "numpy-2.2.6.dist-info", packages / "torch-2.13.0.dist-info"
    for record in (whole, half):
        record.mkdir(parents=True)
        (record / "METADATA").write_text("")
    (whole / "INSTALLER").write_text("pip\n")
    setup_script.forget_half_installed()
    assert whole.exists()
    assert not half.exists()


@pytest.fixture
def venv(setup_script):
    """A .venv that looks finished."""
    setup_script.VENV_PYTHON.parent.mkdir(parents=True)
    setup_script.VENV_PYTHON.write_text("")
    return setup_script.VENV


def test_nothing_is_done_twice(setup_script, venv):
    key = setup_script.fingerprint("/usr/bin/python3", "", "kilted")
    assert not setup_script.is_stamped("demo", key)
    setup_script.stamp("demo", key)
    assert setup_script.is_stamped("demo", key)
    assert not setup_script.is_stamped("test", key)


def test_an_environment_for_the_tests_serves_the_demo(setup_script, venv):
    key = setup_script.fingerprint("/usr/bin/python3", "", "kilted")
    setup_script.stamp("test", key)
    assert setup_script.is_stamped("demo", key)


@pytest.mark.parametrize("change", [("/usr/bin/python3.12", "", "kilted"), ("/usr/bin/python3", "jazzy", "")])
def test_another_interpreter_or_ros_is_set_up_anew(setup_script, venv, change):
    setup_script.stamp("demo", setup_script.fingerprint("/usr/bin/python3", "", "kilted"))
    assert not setup_script.is_stamped("demo", setup_script.fingerprint(*change))


def test_a_changed_requirement_is_set_up_anew(setup_script, venv, tmp_path, source, monkeypatch):
    requirements = tmp_path / "requirements"
    shutil.copytree(str(source / "requirements"), str(requirements))
    monkeypatch.setattr(setup_script, "REQUIREMENTS", requirements)
    setup_script.stamp("demo", setup_script.fingerprint("/usr/bin/python3", "", "kilted"))
    with open(str(requirements / "constraints.txt"), "a", encoding="utf-8") as file:
        file.write("numpy==2.0.0\n")
    assert not setup_script.is_stamped("demo", setup_script.fingerprint("/usr/bin/python3", "", "kilted"))


def test_everything_that_setup_py_names_has_a_pinned_version(setup_script, source):
    """A build without a pin is a build that breaks some day."""
    lines = (source / "requirements" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.split("==")[0] for line in lines if "==" in line}
    named = {line.split(">=")[0].lower() for line in setup_script.declared_requirements("test")}
    assert {"numpy", "lightning", "pytest"} < named
    assert named - pinned == set()


@pytest.fixture
def constraints(setup_script, tmp_path, monkeypatch):
    """Pins of three packages, and a .venv to write the effective ones to."""
    setup_script.VENV.mkdir()
    requirements = tmp_path / "requirements"
    requirements.mkdir()
    (requirements / "constraints.txt").write_text("numpy==2.2.6\nscipy==1.17.1\ntorch==2.13.0\n")
    monkeypatch.setattr(setup_script, "REQUIREMENTS", requirements)


@pytest.mark.parametrize(
    ("found", "torch"),
    [
        ({}, "2.13.0"),
        ({"torch": "2.1.0a0+41361538.nv23.06"}, "2.1.0a0+41361538.nv23.06"),
        ({"torch": "1.13.1"}, "2.13.0"),
    ],
    ids=["none", "a robot's own", "too old"],
)
def test_an_installed_torch_is_kept_when_it_will_do(setup_script, constraints, found, torch):
    lines = setup_script.pins({"found": found}, keep=["torch"]).read_text().split()
    assert sorted(lines) == ["numpy==2.2.6", "scipy==1.17.1", f"torch=={torch}"]


def test_beside_a_ros_the_robots_numpy_decides(setup_script, constraints):
    installed = {"found": {"numpy": "1.21.5", "cv2": "4.5.4"}}
    lines = setup_script.pins(installed, keep=["numpy", "torch"], only=["torch"]).read_text().split()
    assert sorted(lines) == ["numpy==1.21.5", "torch==2.13.0"]
