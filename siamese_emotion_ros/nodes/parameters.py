"""Each node's parameters as one table: declared with descriptors, checked when they change, documented from it."""
from __future__ import annotations

import math
from dataclasses import dataclass, make_dataclass
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.parameter import Parameter

from siamese_emotion_ros.nodes.folders import lies_in, place_of

Value = Union[bool, int, float, str, List[str]]

#: When a parameter may change: at any time; only while the node is unconfigured; or never after the start.
ANY_TIME, UNCONFIGURED, START = "any time", "unconfigured", "start"

#: Longer values are not quoted whole where they are refused [characters].
QUOTED = 200

#: No text is longer, as no path is [characters].
LONGEST_TEXT = 4096

_TYPES: Dict[type, Tuple[Parameter.Type, str]] = {
    bool: (Parameter.Type.BOOL, "true or false"),
    int: (Parameter.Type.INTEGER, "a whole number"),
    float: (Parameter.Type.DOUBLE, "a number with a decimal point"),
    str: (Parameter.Type.STRING, "a text"),
    list: (Parameter.Type.STRING_ARRAY, "a list of texts"),
}


class ParameterRefused(ValueError):
    """A parameter value that cannot be used; the message says what it was, what was expected and what to do."""


@dataclass(frozen=True)
class Spec:
    """One parameter: the type of its default is its type.

    default: bool, int, float, str or a list of str, or a function that gives it. low, high: both ends allowed.
    choices: the only values allowed. changes: ANY_TIME, UNCONFIGURED or START. check: raises ValueError with the
    reason for a value that the range and choices cannot describe. shown: the default as documentation prints it.
    folder: for a text that names a file, the parameter with the folder or folders that the file has to lie in; the
    start-up value, which whoever started the node chose, is always allowed. names_file: which texts name one.
    """

    name: str
    default: Union[Value, Callable[[], Value]]
    description: str
    low: Optional[float] = None
    high: Optional[float] = None
    choices: Sequence[str] = ()
    changes: str = ANY_TIME
    check: Optional[Callable[[Any], object]] = None
    shown: Optional[str] = None
    folder: str = ""
    names_file: Callable[[str], bool] = bool

    @property
    def field(self) -> str:
        """Name of the attribute in the node's settings: `smoothing.window` is settings.smoothing_window."""
        return self.name.replace(".", "_")

    def default_value(self) -> Value:
        """The default, worked out where it is a function."""
        return self.default() if callable(self.default) else self.default

    def checked(self, value: Any) -> Value:
        """`value` as this parameter's type (a whole number will do for a float); ParameterRefused for a wrong one."""
        kind = type(self.default_value())
        if kind is float and type(value) is int:
            value = float(value)
        if kind is list and value is not None and not isinstance(value, (str, bytes)):
            value = list(value) if hasattr(value, "__iter__") else value
        if type(value) is not kind or (kind is list and not all(isinstance(item, str) for item in value)):
            raise ParameterRefused(f"{self.name} is {_shortened(value)}: expected {_TYPES[kind][1]}{self._limits()}")
        outside = kind in (int, float) and (
            math.isnan(value)
            or (self.low is not None and value < self.low)
            or (self.high is not None and value > self.high)
        )
        if outside or (self.choices and value not in self.choices):
            raise ParameterRefused(f"{self.name} is {_shortened(value)}: expected {_TYPES[kind][1]}{self._limits()}")
        if kind is str and len(value) > LONGEST_TEXT:
            raise ParameterRefused(f"{self.name} is {_shortened(value)}: expected at most {LONGEST_TEXT} characters")
        if self.check is not None:
            try:
                self.check(value)
            except ValueError as error:
                raise ParameterRefused(f"{self.name}: {error}") from error
        return value

    def descriptor(self) -> ParameterDescriptor:
        """What `ros2 param describe` shows; ranges and types are enforced by rclpy from it as well."""
        default = self.default_value()
        descriptor = ParameterDescriptor(
            name=self.name,
            type=_TYPES[type(default)][0].value,
            description=self.description,
            additional_constraints="; ".join(self._constraints()),
            read_only=self.changes == START,
        )
        if self.low is not None and self.high is not None:
            if isinstance(default, float):
                descriptor.floating_point_range.append(FloatingPointRange(from_value=self.low, to_value=self.high))
            else:
                descriptor.integer_range.append(IntegerRange(from_value=int(self.low), to_value=int(self.high)))
        return descriptor

    def _constraints(self) -> Iterable[str]:
        if self.choices:
            yield "one of " + ", ".join(self.choices)
        if self.changes == UNCONFIGURED:
            yield "changes while the node is unconfigured"

    def _limits(self) -> str:
        if self.choices:
            return ", one of " + ", ".join(self.choices)
        if self.low is not None and self.high is not None:
            return f" from {self.low:g} to {self.high:g}"
        return ""


class ParameterTable:
    """All parameters of one node, in the order of its documentation."""

    def __init__(self, node_name: str, specs: Sequence[Spec]) -> None:
        self.node_name = node_name
        self.specs: Dict[str, Spec] = {spec.name: spec for spec in specs}
        #: Frozen dataclass with one field for each parameter; what a node is handed instead of loose values.
        self.settings_type = make_dataclass(
            "Settings", [(spec.field, type(spec.default_value())) for spec in specs], frozen=True
        )

    def settings(self, values: Mapping[str, Value]) -> Any:
        """Checked settings from values by parameter name; those not named have their default."""
        checked = {
            spec.field: spec.checked(values[name]) if name in values else spec.default_value()
            for name, spec in self.specs.items()
        }
        return self.settings_type(**checked)

    def declare(self, node: Node) -> Dict[str, str]:
        """Declare every parameter, with the value from the command line or a parameter file where there is one.

        A value that is refused leaves the default in place. Returns the refusals: reason by parameter name, for the
        node to refuse its configuration with, because a node that dies of a typing error cannot be asked about it.
        """
        refusals = {}
        for name, spec in self.specs.items():
            default = spec.default_value()
            # Declared without a type first: rclpy raises for an override of another type and does not tell its value.
            given = node.declare_parameter(name, default, ParameterDescriptor(dynamic_typing=True)).value
            node.undeclare_parameter(name)
            try:
                value = spec.checked(given)
            except ParameterRefused as refusal:
                refusals[name] = str(refusal)
                value = default
            try:
                node.declare_parameter(name, value, spec.descriptor(), ignore_override=True)
            except ParameterException as error:
                refusals[name] = str(error)
        return refusals

    def read(self, node: Node) -> Any:
        """The node's settings as its declared parameters are now."""
        return self.settings({name: node.get_parameter(name).value for name in self.specs})

    def files(self, node: Node) -> Dict[str, str]:
        """The files that the parameters name now, by parameter."""
        return {name: node.get_parameter(name).value for name, spec in self.specs.items() if spec.folder}

    def changed(
        self, node: Node, parameters: Sequence[Parameter], configured: bool, at_start: Mapping[str, str]
    ) -> Change:
        """What a request to set parameters asks for; ParameterRefused when one of them is wrong.

        `at_start`: the files that were named when the node started (see `files`), and may be named again.

        Parameters that are not in the table (QoS overrides, use_sim_time) are somebody else's business.
        """
        ours = [parameter for parameter in parameters if parameter.name in self.specs]
        for parameter in ours:
            spec = self.specs[parameter.name]
            if spec.changes == UNCONFIGURED and configured:
                raise ParameterRefused(
                    f"{parameter.name} changes only while the node is unconfigured: deactivate and clean up "
                    f"{node.get_fully_qualified_name()}, set it, then configure again"
                )
        values = {name: node.get_parameter(name).value for name in self.specs}
        values.update((parameter.name, parameter.value) for parameter in ours)
        settings = self.settings(values)
        for parameter in ours:
            if parameter.value != at_start.get(parameter.name):
                self._check_place(node, self.specs[parameter.name], parameter.value)
        return Change(settings, frozenset(parameter.name for parameter in ours))

    def _check_place(self, node: Node, spec: Spec, value: Any) -> None:
        """ParameterRefused when `value` names a file outside the folders that were given for it at the start."""
        if not (spec.folder and spec.names_file(value)):
            return
        given = node.get_parameter(spec.folder).value  # and not what the same request may say of it
        folders = [given] if isinstance(given, str) else given
        try:
            place = place_of(value)
        except ValueError as error:
            raise ParameterRefused(f"{spec.name} is {error}") from error
        if not lies_in(place, folders):
            raise ParameterRefused(
                f"{spec.name} is {value[:200]!r}, that is {str(place)[:200]}, outside {spec.folder} "
                f"({', '.join(folders) or 'none'}): start the node with it, or with its folder as {spec.folder}"
            )

    def markdown(self) -> str:
        """The table as README prints it."""
        rows = ["| Parameter | Default | Allowed | Changes | Meaning |", "|---|---|---|---|---|"]
        for spec in self.specs.values():
            default = spec.shown if spec.shown is not None else _literal(spec.default_value())
            allowed = ", ".join(f"`{choice}`" for choice in spec.choices)
            if spec.low is not None and spec.high is not None:
                allowed = f"{spec.low:g} … {spec.high:g}"
            changes = {ANY_TIME: "any time", UNCONFIGURED: "unconfigured", START: "at start"}[spec.changes]
            rows.append(f"| `{spec.name}` | {default} | {allowed} | {changes} | {spec.description} |")
        return "\n".join(rows)


class Change(NamedTuple):
    """A request to set parameters: the settings as they would be, and the names that were set."""

    settings: Any
    names: frozenset


def _shortened(value: Any) -> str:
    """A value as a refusal quotes it: the reason stays on /diagnostics, once a second, until the next one."""
    text = repr(value)
    return text if len(text) <= QUOTED else f"{text[:QUOTED]}… ({len(text)} characters)"


def _literal(value: Value) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return "`''`" if value == "" else f"`{value}`"
