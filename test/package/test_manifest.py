"""package.xml, for ROS, and setup.py, for pip, describe the same package."""
import subprocess
import sys
from xml.etree import ElementTree

import pytest


@pytest.mark.parametrize(
    ("option", "element"), [("--name", "name"), ("--version", "version"), ("--license", "license")]
)
def test_setup_says_what_the_manifest_says(source, option, element):
    manifest = ElementTree.parse(str(source / "package.xml"))
    answer = subprocess.run(
        [sys.executable, "setup.py", "--quiet", option], cwd=source, check=True, stdout=subprocess.PIPE, text=True
    )
    assert answer.stdout.split()[-1] == manifest.findtext(element)


def test_the_manifest_names_every_ros_package_that_the_nodes_import(source):
    manifest = ElementTree.parse(str(source / "package.xml")).getroot()
    named = {element.text for element in manifest if element.tag.endswith("depend")}
    ros = {"cv_bridge", "launch", "launch_ros", "rclpy", "ament_index_python", "rcl_interfaces", "builtin_interfaces"}
    imported = set()
    for path in [*(source / "siamese_emotion_ros" / "nodes").glob("*.py"), *(source / "launch").glob("*.py")]:
        for line in path.read_text(encoding="utf-8").splitlines():
            words = line.split()
            if words[:1] in (["import"], ["from"]):
                package = words[1].split(".")[0]
                if package in ros or package.endswith(("_msgs", "_interfaces")):
                    imported.add(package)
    assert imported - named == set()
