"""Every message and service says what its fields mean, and every file of them is built."""
import re

import pytest

FIELD = re.compile(r"^(?P<type>[A-Za-z][\w/]*)(?P<array>\[\])?\s+(?P<name>[a-z]\w*)\s*$")
NUMBERS = re.compile(r"^(u?int(8|16|32|64)|float(32|64))$")


def fields(path):
    """The fields of a message, or of a service's request and response, as (type, name, comment above it)."""
    comment = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line == "---":
            comment = []
        elif line.startswith("#"):
            comment.append(line.lstrip("# "))
        elif not line.strip():
            comment = []
        else:
            match = FIELD.match(line)
            assert match, f"{path.name}: '{line}' is no field this test understands"
            yield match["type"], match["name"], " ".join(comment)
            comment = []


def messages(source):
    """The message and service files of the source tree."""
    return sorted([*(source / "msg").glob("*.msg"), *(source / "srv").glob("*.srv")])


def test_every_field_is_commented(source):
    silent = [f"{path.stem}.{name}" for path in messages(source) for _, name, comment in fields(path) if not comment]
    assert silent == []


def test_every_number_has_a_range(source):
    """A range in brackets, such as [0..1], or in words: '1 or more', '0 or more', 'starts at 1'."""
    vague = [
        f"{path.stem}.{name}: {comment}"
        for path in messages(source)
        for kind, name, comment in fields(path)
        if NUMBERS.match(kind) and not re.search(r"\.\.|\d or more|starts at \d", comment)
    ]
    assert vague == []


def test_every_message_is_built(source):
    reason = "messages exist once colcon has built them"
    built = {room: pytest.importorskip(f"siamese_emotion_ros.{room}", reason=reason) for room in ("msg", "srv")}
    assert messages(source)
    for path in messages(source):
        kind = getattr(built[path.suffix[1:]], path.stem)
        parts = [kind] if path.suffix == ".msg" else [kind.Request, kind.Response]
        declared = [name for _, name, _ in fields(path)]
        assert [name for part in parts for name in part.get_fields_and_field_types()] == declared
