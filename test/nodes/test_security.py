"""The SROS2 policy allows what the nodes do on the graph, and nothing else."""
from fnmatch import fnmatch
from pathlib import Path
from xml.etree import ElementTree

import pytest
from ament_index_python.packages import get_package_share_directory
from sensor_msgs.msg import Image
from siamese_emotion_ros.msg import FaceCropArray

from siamese_emotion_ros.nodes.bag_player import BagPlayer
from siamese_emotion_ros.nodes.emotion_evaluator import EmotionEvaluator
from siamese_emotion_ros.nodes.emotion_overlay import EmotionOverlay
from siamese_emotion_ros.nodes.face_crop import FaceCrop
from siamese_emotion_ros.nodes.hri_mirror import HriMirror
from siamese_emotion_ros.nodes.image_source import ImageSource
from siamese_emotion_ros.nodes.parameters import START
from siamese_emotion_ros.nodes.reference import TABLES
from siamese_emotion_ros.nodes.siamese_emotion import SiameseEmotion

NODES = {
    "face_crop": FaceCrop, "siamese_emotion": SiameseEmotion, "emotion_overlay": EmotionOverlay,
    "hri_mirror": HriMirror, "image_source": ImageSource, "bag_player": BagPlayer,
    "emotion_evaluator": EmotionEvaluator,
}

#: Services of Jazzy and newer.
NEWER = "get_type_description"


@pytest.fixture(scope="module")
def enclaves():
    """path -> the profiles of one process."""
    file = Path(get_package_share_directory("siamese_emotion_ros"), "config", "sros2_policies.xml")
    root = ElementTree.parse(str(file)).getroot()
    return {enclave.get("path"): enclave.findall("profiles/profile") for enclave in root.iter("enclave")}


def allowed(profile, kind, direction):
    """The names under <topics publish="ALLOW"> and its like."""
    return {
        element.text for group in profile.findall(kind) if group.get(direction) == "ALLOW" for element in group
    }


def test_every_process_has_an_enclave_with_the_profiles_of_its_nodes(enclaves):
    assert {path: [profile.get("node") for profile in profiles] for path, profiles in enclaves.items()} == {
        **{f"/{name}": [name] for name in NODES},
        "/emotion_pipeline": ["face_crop", "siamese_emotion", "emotion_overlay"],
    }
    for profile in enclaves["/emotion_pipeline"]:
        (alone,) = enclaves[f"/{profile.get('node')}"]
        assert ElementTree.tostring(profile).split() == ElementTree.tostring(alone).split()


@pytest.fixture
def ways(artifacts, tmp_path, bag_making, portrait):
    """name -> [(parameters, a topic that comes with them)]: together they have a node do all that it may."""
    import cv2

    truth = tmp_path / "truth.csv"
    truth.write_text("start,end,label\n0,1,happiness\n")
    image = tmp_path / "image.png"
    cv2.imwrite(str(image), portrait)
    bag = bag_making.pictures_bag(tmp_path / "bag", [portrait])
    compressed = bag_making.pictures_bag(tmp_path / "compressed", [portrait], make=bag_making.compressed)
    transports = [({}, "image_raw"), ({"image_transport": "compressed"}, "image_raw/compressed")]
    return {
        "face_crop": [({"detector": "haar"}, "image_raw"), *transports[1:]],
        "siamese_emotion": [({"model_path": "model_a.safetensors", "gallery_path": "gallery_a3.safetensors",
                              "artifact_dirs": [str(artifacts)], "device": "cpu"}, "faces")],
        "emotion_overlay": transports,
        "hri_mirror": [({}, "/humans/faces/*/roi")],
        "image_source": [({"source": str(image)}, "image_raw")],
        "bag_player": [({"bag": str(bag), "bag_dir": str(tmp_path), "clock_rate": 10.0, "wait_for_subscribers": 9},
                        "/clock"),
                       ({"bag": str(compressed), "decompress": False}, "image_raw/compressed")],
        "emotion_evaluator": [({}, "truth"), ({"truth_file": str(truth)}, "faces")],
    }


@pytest.mark.parametrize("name", list(NODES))
def test_the_policy_allows_what_a_node_does_and_nothing_else(
    graph, another_graph, enclaves, ways, faces, request, name
):
    if name == "hri_mirror":
        request.getfixturevalue("hri_msgs")
    (profile,) = enclaves[f"/{name}"]
    kinds = {("topics", "publish"): "publisher", ("topics", "subscribe"): "subscriber",
             ("services", "reply"): "service", ("services", "request"): "client"}
    permitted = {kind: allowed(profile, *kind) for kind in kinds}
    done = {kind: set() for kind in kinds}

    def as_in_the_policy(entry, kind):
        inside = entry[len(graph.namespace) + 1:] if entry.startswith(graph.namespace) else entry
        return next((pattern for pattern in permitted[kind] if "*" in pattern and fnmatch(inside, pattern)), inside)

    def does(topic):
        for kind, ask in kinds.items():
            names_and_types = getattr(graph.node, f"get_{ask}_names_and_types_by_node")(name, graph.namespace)
            done[kind] |= {as_in_the_policy(entry, kind) for entry, _ in names_and_types}
        return topic in done["topics", "publish"] | done["topics", "subscribe"]

    graph.listen(Image, "image_overlay")  # an overlay subscribes only while somebody watches
    publisher = graph.publisher(FaceCropArray, "faces")
    node = graph.start(NODES[name], use_sim_time=True, autostart=False, **ways[name][0][0])
    for parameters, topic in ways[name]:
        if "truth_file" in parameters:  # which is given at the start: another node, out of the first one's sight
            graph = another_graph
            node = graph.start(NODES[name], use_sim_time=True, autostart=False, **parameters)
        for parameter, value in parameters.items():
            if node.get_parameter(parameter).value != value:
                assert graph.set(node, **{parameter: value}).successful
        assert graph.transition(node, "configure") and graph.transition(node, "activate")
        if name == "hri_mirror":  # it has topics for each face
            graph.until(publisher.get_subscription_count, "the mirror to subscribe")
            publisher.publish(faces.of(1000))
        graph.until(lambda topic=topic: does(topic), topic)
        assert graph.transition(node, "deactivate") and graph.transition(node, "cleanup")
    newer = f"{name}/{NEWER}"
    assert newer in permitted["services", "reply"]
    if newer not in done["services", "reply"]:
        permitted["services", "reply"].discard(newer)
    assert done == permitted


def test_every_node_with_parameters_has_a_profile():
    assert {table.node_name for table in TABLES} == set(NODES)


def test_folders_are_given_at_the_start_and_by_nobody_later():
    folders = {
        f"{table.node_name} {spec.name}": spec.changes
        for table in TABLES for spec in table.specs.values() if spec.name.endswith(("_dir", "_dirs"))
    }
    assert folders == dict.fromkeys(
        ["image_source source_dir", "face_crop artifact_dirs", "siamese_emotion artifact_dirs",
         "siamese_emotion gallery_dir", "bag_player bag_dir", "emotion_evaluator output_dir"], START
    )


#: Parameters that name a file and may be set later, and the folders that the file then has to lie in. What
#: siamese_emotion's own come from is looked at when they are read, by test_snapshots.
FILES = {"image_source": ("source", "source_dir"), "bag_player": ("bag", "bag_dir"),
         "face_crop": ("detector_model", "artifact_dirs")}


@pytest.fixture
def files(tmp_path):
    """A folder that files may be named in, and what lies outside; links lead both ways."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    for file in (inside / "file", outside / "file"):
        file.touch()
    (inside / "link").symlink_to(outside)
    return tmp_path


@pytest.mark.parametrize("name", FILES)
def test_a_file_may_be_named_at_the_start_and_later_only_in_the_folder_given_at_the_start(graph, files, name):
    parameter, folder = FILES[name]
    inside, start = files / "inside", str(files / "outside" / "file")
    given = [str(inside)] if folder.endswith("s") else str(inside)
    node = graph.start(NODES[name], autostart=False, **{parameter: start, folder: given})

    def after(value, **others):
        result = graph.set(node, atomically=True, **{parameter: value, **others})
        return result.successful, result.reason, node.get_parameter(parameter).value

    for value in (str(inside / "file"), f"{inside}/link/../inside/file", str(inside), start):
        assert after(value) == (True, "", value)
    for value in ("/etc/passwd", f"{inside}/link/file", f"{inside}/../outside", str(files), "file", "a\0b", "~"):
        successful, reason, kept = after(value)
        assert not successful and kept == start, value
        assert f"outside {folder} ({inside})" in reason or "not a usable path" in reason
    everywhere = ["/"] if folder.endswith("s") else "/"
    assert not after("/etc/passwd", **{folder: everywhere})[0], "what is fixed at the start is not widened on the way"
    assert node.get_parameter(parameter).value == start


def test_without_a_folder_only_webcams_and_what_was_there_at_the_start_may_be_played(graph, files):
    start = str(files / "outside" / "file")
    source = graph.start(ImageSource, autostart=False, source=start)
    for value in ("0", "/dev/video1", start):
        assert graph.set(source, source=value).successful, value
    for value in ("/dev/zero", str(files)):
        assert not graph.set(source, source=value).successful, value
    player = graph.start(BagPlayer, autostart=False, bag=start)
    assert not graph.set(player, bag=str(files)).successful
    assert graph.set(player, bag=start).successful


def test_every_parameter_that_names_a_file_has_folders_or_is_fixed_at_the_start():
    named = {
        f"{table.node_name} {spec.name}"
        for table in TABLES for spec in table.specs.values()
        if spec.name.endswith(("_path", "_model", "_file")) or spec.name in ("source", "bag")
    }
    fixed = {
        f"{table.node_name} {spec.name}" for table in TABLES for spec in table.specs.values() if spec.changes == START
    }
    guarded = {f"{name} {parameter}" for name, (parameter, _) in FILES.items()}
    for name, (parameter, folder) in FILES.items():
        assert next(table for table in TABLES if table.node_name == name).specs[parameter].folder == folder
    assert named - fixed - guarded == {"siamese_emotion model_path", "siamese_emotion gallery_path"}
