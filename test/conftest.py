"""Each test run has a ROS 2 graph of its own and leaves the machine's other work alone."""
import importlib.util
import os
from pathlib import Path

import pytest

# Threads of OpenMP (torch, scikit-learn) that spin while they wait bring a busy machine to a standstill.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Domains 1 to 101 have ports outside the range from which Linux gives out ephemeral ones.
os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 101))
if os.environ.get("ROS_DISTRO") == "humble":
    os.environ.setdefault("ROS_LOCALHOST_ONLY", "1")  # Jazzy complains of it
else:
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")

if importlib.util.find_spec("hypothesis") is not None:
    from hypothesis import settings

    # Time is measured elsewhere: a busy machine must not fail a property.
    settings.register_profile("anyhow", deadline=None)
    settings.load_profile("anyhow")


@pytest.fixture(scope="session")
def bag_making():
    """The module beside this one that makes recordings; importlib mode puts no test folder on the path."""
    pytest.importorskip("rosbags", reason="rosbags is not installed; `make test` installs it")
    spec = importlib.util.spec_from_file_location("bag_making", Path(__file__).with_name("bag_making.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def portrait():
    """A 640x480 picture of one face, uint8 BGR."""
    data = pytest.importorskip("skimage.data")
    import cv2
    import numpy as np

    astronaut = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR)
    picture = np.full((480, 640, 3), 90, np.uint8)
    picture[:, 64:576] = astronaut[:480]
    return picture
