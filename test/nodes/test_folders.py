import pytest

from siamese_emotion_ros.nodes.folders import lies_in, place_of


@pytest.fixture
def folder(tmp_path):
    """`inside`, with a link that leads out of it and one that stays; `outside`, with a link into `inside`."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    (inside / "deep").mkdir(parents=True)
    outside.mkdir()
    for file in (inside / "one", outside / "two", tmp_path / "inside_not"):
        file.touch()
    (inside / "out").symlink_to(outside / "two")
    (inside / "out_folder").symlink_to(outside)
    (inside / "within").symlink_to(inside / "one")
    (outside / "in").symlink_to(inside / "one")
    return tmp_path


@pytest.mark.parametrize(("name", "inside"), [
    ("inside", True), ("inside/one", True), ("inside/not/yet", True), ("inside/within", True), ("outside/in", True),
    ("outside/../inside/one", True), ("inside/out", False), ("inside/out_folder/two", False),
    ("inside/deep/../../outside/two", False), ("inside_not", False), (".", False), ("/etc/passwd", False),
])
def test_a_place_is_where_links_and_dots_lead(folder, name, inside):
    assert lies_in(place_of(folder / name), [str(folder / "inside")]) is inside


def test_a_folder_may_itself_be_named_by_a_link_and_an_empty_name_is_no_folder(folder):
    (folder / "link").symlink_to(folder / "inside")
    assert lies_in(place_of(folder / "inside" / "one"), [str(folder / "link")])
    assert not lies_in(place_of("."), [""]) and not lies_in(place_of(folder), [])


@pytest.mark.parametrize("name", ["a\0b", "~nobody-of-that-name/x", pytest.param("~" + "x" * 100_000, id="long")])
def test_what_can_be_no_path_is_refused_in_a_line(name):
    with pytest.raises(ValueError, match="not a usable path") as refusal:
        place_of(name)
    assert len(str(refusal.value)) < 500
