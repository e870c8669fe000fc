import dataclasses
import math

import pytest
from rcl_interfaces.msg import ParameterType

from siamese_emotion_ros.nodes import reference
from siamese_emotion_ros.nodes.parameters import START, UNCONFIGURED, ParameterRefused, ParameterTable, Spec

TABLE = ParameterTable("tried", [
    Spec("flag", True, "A flag."),
    Spec("count", 5, "A count.", low=1, high=9),
    Spec("share", 0.5, "A share.", low=0.0, high=1.0),
    Spec("far", 0.0, "A distance.", low=0.0, high=math.inf),
    Spec("kind", "a", "A kind.", choices=("a", "b"), changes=UNCONFIGURED),
    Spec("folders", lambda: ["x", "y"], "Folders.", changes=START, shown="two"),
    Spec("inner.width", 3, "A dotted name.", low=0, high=10),
])


def test_settings_are_typed_frozen_and_have_defaults():
    settings = TABLE.settings({"count": 7})
    assert (settings.count, settings.share, settings.folders, settings.inner_width) == (7, 0.5, ["x", "y"], 3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.count = 8


@pytest.mark.parametrize(
    ("name", "value"),
    [("flag", False), ("count", 1), ("count", 9), ("share", 0.0), ("share", 1), ("far", math.inf), ("kind", "b"),
     ("folders", ["z"]), ("folders", [])],
)
def test_values_in_the_range_are_taken(name, value):
    assert getattr(TABLE.settings({name: value}), name) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [("flag", 1), ("flag", "true"), ("count", 0), ("count", 10), ("count", 5.0), ("count", True), ("count", "5"),
     ("share", 1.01), ("share", -0.1), ("share", math.nan), ("share", math.inf), ("share", "0.5"), ("share", None),
     ("far", math.nan), ("far", -1.0), ("kind", "c"), ("kind", ""), ("kind", 3), ("folders", "x"), ("folders", [1, 2]),
     ("folders", None), ("inner.width", 11)],
)
def test_other_values_are_refused_with_name_value_and_what_was_expected(name, value):
    with pytest.raises(ParameterRefused, match="expected") as refusal:
        TABLE.settings({name: value})
    assert str(refusal.value).startswith(f"{name} is {value!r}")


@pytest.mark.parametrize(
    ("name", "value"), [("kind", "x" * 100_000), ("count", "x" * 100_000), ("folders", [1] * 100_000)],
    ids=["choice", "text", "list"],
)
def test_a_refusal_quotes_the_beginning_of_a_long_value_and_says_what_was_expected(name, value):
    with pytest.raises(ParameterRefused) as refusal:
        TABLE.settings({name: value})
    assert str(refusal.value).startswith(f"{name} is {repr(value)[:100]}")
    assert "expected" in str(refusal.value) and len(str(refusal.value)) < 500


def test_a_text_longer_than_any_path_is_refused():
    spec = Spec("place", "", "Where.")
    assert spec.checked("x" * 4096) == "x" * 4096
    with pytest.raises(ParameterRefused, match=r"place is 'x+… \(4099 characters\): expected at most 4096 characters"):
        spec.checked("x" * 4097)


def test_a_whole_number_will_do_for_a_float():
    settings = TABLE.settings({"far": 25})
    assert settings.far == 25.0 and isinstance(settings.far, float)


@pytest.mark.parametrize("table", reference.TABLES, ids=lambda table: table.node_name)
def test_every_parameter_of_our_nodes_has_description_type_and_where_it_is_a_number_a_range(table):
    for spec in table.specs.values():
        descriptor = spec.descriptor()
        assert len(descriptor.description) > 10 and descriptor.description.endswith(".")
        assert spec.checked(spec.default_value()) == spec.default_value()
        if descriptor.type == ParameterType.PARAMETER_INTEGER:
            (limits,) = descriptor.integer_range
            assert limits.from_value <= spec.default_value() <= limits.to_value
        elif descriptor.type == ParameterType.PARAMETER_DOUBLE:
            (limits,) = descriptor.floating_point_range
            assert limits.from_value <= spec.default_value() <= limits.to_value
        elif spec.choices:
            assert all(choice in descriptor.additional_constraints for choice in spec.choices)
        assert descriptor.read_only == (spec.changes == START)


def test_every_table_can_be_started_by_hand_or_by_itself():
    assert all("autostart" in table.specs for table in reference.TABLES)


def test_markdown_has_a_row_for_each_parameter():
    lines = TABLE.markdown().splitlines()
    assert len(lines) == 2 + len(TABLE.specs)
    assert lines[3] == "| `count` | `5` | 1 … 9 | any time | A count. |"
    assert lines[6] == "| `kind` | `a` | `a`, `b` | unconfigured | A kind. |"
    assert lines[7] == "| `folders` | two |  | at start | Folders. |"
