"""Training configurations from YAML and `section.key=value` overrides, every key and value checked by name."""
from __future__ import annotations

import dataclasses
import difflib
import math
import reprlib
import typing
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence

import yaml

from siamese_emotion_ros.training.config import ConfigError, TrainingConfig, as_dict

#: Shortens a wrong value to one line: with aliases of aliases, a page of YAML can expand to gigabytes.
_IN_A_LINE = reprlib.Repr()
_IN_A_LINE.maxlevel, _IN_A_LINE.maxstring = 2, 80

#: A configuration is a page of text; a larger file is something else.
LARGEST_FILE = 1 << 20


def read_config(path: Path, overrides: Sequence[str] = ()) -> TrainingConfig:
    """The configuration in a YAML file, with `section.key=value` texts applied on top.

    Raises ConfigError, naming the file, for a file that cannot be read or holds an unknown key or a wrong value.
    """
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size <= LARGEST_FILE else b""
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); name a YAML file of config/training") from error
    if size > LARGEST_FILE:
        raise ConfigError(f"{path}: {size} bytes, expected a YAML file of at most {LARGEST_FILE}")
    try:
        values = parse_yaml(content.decode())
    except ValueError as error:
        raise ConfigError(f"{path}: not YAML ({' '.join(str(error).split())})") from error
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise ConfigError(
            f"{path}: holds a {type(values).__name__}, expected a mapping such as 'data: {{dataset: fer2013}}'"
        )
    for override in overrides:
        apply_override(values, override)
    try:
        return from_dict(values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def parse_yaml(text: str) -> Any:
    """The value of a YAML text; ValueError for one that has none."""
    try:
        return yaml.safe_load(text)
    # Besides its own errors, PyYAML lets others through: to wrong tags, and to brackets without end.
    except (yaml.YAMLError, LookupError, AttributeError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split())) from error


def apply_override(values: Dict[str, Any], override: str) -> None:
    """Put one `section.key=value` (value in YAML) into nested `values`, in place."""
    key, separator, text = override.partition("=")
    names = key.strip().split(".")
    if not separator or not all(names):
        raise ConfigError(f"override {override!r}: expected key=value or section.key=value, as in trainer.epochs=10")
    try:
        value = parse_yaml(text)
    except ValueError as error:
        raise ConfigError(f"override {override!r}: {text!r} is not a YAML value") from error
    section = values
    for name in names[:-1]:
        section = section.setdefault(name, {})
        if not isinstance(section, dict):
            raise ConfigError(f"override {override!r}: {name!r} is a value, not a section")
    section[names[-1]] = value


def from_dict(values: Mapping[str, Any]) -> TrainingConfig:
    """The checked configuration of nested mappings; keys that are missing keep their defaults."""
    return typing.cast(TrainingConfig, _section(TrainingConfig, values, ""))


def write_config(path: Path, config: TrainingConfig) -> None:
    """Write every value of `config`, defaults included, as YAML that read_config reads."""
    path.write_text(_text(config), encoding="utf-8")


def is_written(path: Path) -> bool:
    """Whether the file is exactly what write_config writes, so that nothing else would be lost with it."""
    try:
        return path.read_text(encoding="utf-8") == _text(read_config(path))
    except (ConfigError, UnicodeDecodeError):
        return False


def differences(one: TrainingConfig, other: TrainingConfig) -> List[str]:
    """`section.key: value -> value` for everything in which two configurations differ."""
    old, new = _flat(as_dict(one)), _flat(as_dict(other))
    return [f"{key}: {old[key]!r} -> {new[key]!r}" for key in old if old[key] != new[key]]


def _text(config: TrainingConfig) -> str:
    return yaml.safe_dump(as_dict(config), sort_keys=False)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Dict[str, Any]:
    flat: Dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and key != "options":
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat


def _section(cls: Any, values: Any, prefix: str) -> Any:
    if not isinstance(values, Mapping):
        raise ConfigError(f"{prefix.rstrip('.')}: {_IN_A_LINE.repr(values)} is not a section; write its keys below it")
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    unknown = [key for key in values if key not in fields]
    if unknown:
        inside = [f"{prefix}{name}.{unknown[0]}" for name in fields if unknown[0] in _keys(hints[name])]
        near = inside or [prefix + name for name in difflib.get_close_matches(str(unknown[0]), fields, n=1, cutoff=0.4)]
        hint = f"did you mean {' or '.join(near)}?" if near else f"known here: {', '.join(fields)}"
        raise ConfigError(f"unknown key {prefix}{unknown[0]}; {hint}")
    read = {}
    for name, value in values.items():
        if dataclasses.is_dataclass(hints[name]):
            read[name] = _section(hints[name], value, f"{prefix}{name}.")
        else:
            read[name] = _value(value, hints[name], fields[name].metadata, prefix + name)
    return cls(**read)


def _keys(hint: Any) -> List[str]:
    """The keys of a section; a value has none."""
    return [field.name for field in dataclasses.fields(hint)] if dataclasses.is_dataclass(hint) else []


def _value(value: Any, hint: Any, rule: Mapping[str, Any], key: str) -> Any:
    optional = type(None) in typing.get_args(hint)
    kind = next(arg for arg in typing.get_args(hint) if arg is not type(None)) if optional else hint
    expected = _expected(kind, rule, optional)
    if value is None and optional:
        return None
    if kind is float and isinstance(value, (int, str)) and not isinstance(value, bool):
        value = _float(value)  # YAML 1.1 reads 1e-4 as text
    if rule["several"] and isinstance(value, list) and all(isinstance(item, str) for item in value):
        value = ",".join(value)
    wanted = dict if typing.get_origin(kind) is not None else kind
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        raise ConfigError(f"{key} is {_IN_A_LINE.repr(value)}: expected {expected} ({rule['doc']})")
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{key} is {_IN_A_LINE.repr(value)}: expected {expected} ({rule['doc']})")
    too_low = rule["low"] is not None and value < rule["low"]
    too_high = rule["high"] is not None and value > rule["high"]
    if too_low or too_high or (rule["choices"] is not None and value not in rule["choices"]):
        raise ConfigError(f"{key} is {_IN_A_LINE.repr(value)}: expected {expected} ({rule['doc']})")
    return value


def _float(value: Any) -> Any:
    try:
        return float(value)
    except (ValueError, OverflowError):
        return value


def _expected(kind: Any, rule: Mapping[str, Any], optional: bool) -> str:
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    text = names.get(kind, "a mapping")
    if rule["choices"] is not None:
        text = "one of " + ", ".join(rule["choices"])
    if rule["low"] is not None:
        text += f" from {rule['low']:g}"
    if rule["high"] is not None:
        text += f" up to {rule['high']:g}"
    return text + (" or null" if optional else "")
