"""Configuration: a dataclass field is a flag is a key of ``config.json``.

A field made by `option` carries its help, its group and its choices; `add_flags` makes the command line from it and `merge` the
dataclass from the command line. Fields made by `derived` have no flag: they are filled from the corpus or another run.
"""

import argparse
import dataclasses
import json
import math
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LARGEST = 2**53  # beyond this, floats no longer hold every whole number


class InputError(Exception):
    """Report what a user can mend: one line that says what was given, what is wrong and what would do.

    The scripts print it on stderr without a traceback and exit with code 2.
    """


def option(
    default: Any,
    help: str,
    group: str = "options",
    choices: tuple = (),
    minimum: float | None = None,
    also: tuple[str, ...] = (),
) -> Any:
    """Make a dataclass field that is also a flag.

    Parameters
    ----------
    default : the value without the flag; a tuple makes a flag of several values, a bool a pair of flags, --x and --no-x.
    help : what the flag does, for ``--help``.
    group : the heading under which ``--help`` lists it.
    choices : the values allowed, where they are few.
    minimum : the least value allowed, of every element.
    also : other names of the flag.
    """
    metadata = {"help": help, "group": group, "choices": choices, "minimum": minimum, "also": also}
    return dataclasses.field(default=default, metadata=metadata)


def derived(factory: Any) -> Any:
    """Make a dataclass field that is saved in ``config.json`` but has no flag."""
    return dataclasses.field(default_factory=factory)


def element_type(annotation: Any) -> tuple[type, bool]:
    """Return (type of one value, whether the field holds several) of a field's annotation."""
    if typing.get_origin(annotation) is tuple:
        return typing.get_args(annotation)[0], True
    return annotation, False


def add_flags(parser: argparse.ArgumentParser, config: type) -> None:
    """Give `parser` one flag a field of the dataclass `config`, in groups, leaving out of the result what the user did not give."""
    groups: dict[str, Any] = {}
    hints = typing.get_type_hints(config)
    for field in dataclasses.fields(config):
        if "group" not in field.metadata:
            continue
        name = field.metadata["group"]
        group = groups.setdefault(name, None) or parser.add_argument_group(name)
        groups[name] = group
        flags = [f"--{flag}" for flag in (field.name, *field.metadata["also"])]
        text = f"{field.metadata['help']} (default: {shown(field.default)})".replace("%", "%%")
        group.add_argument(*flags, dest=field.name, default=argparse.SUPPRESS, help=text, **_kind(field, hints[field.name]))


def _kind(field: dataclasses.Field, annotation: Any) -> dict[str, Any]:
    """Return what `argparse` needs to know of the values of a field."""
    kind, several = element_type(annotation)
    if kind is bool:
        return {"action": argparse.BooleanOptionalAction}
    choices = field.metadata["choices"] or None
    metavar = None if choices else kind.__name__.upper()
    return {"type": kind, "nargs": "*" if several else None, "choices": choices, "metavar": metavar}


def shown(value: Any) -> str:
    """Write a default as the command line would."""
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "none"
    return str(value) if value != "" else "none"


def merge(config: Any, changes: Mapping[str, Any]) -> Any:
    """Return `config` with `changes` applied, each checked against its field.

    Raises
    ------
    InputError : an unknown field, a value of the wrong type, not among the choices, or below the minimum.
    """
    fields = {field.name: field for field in dataclasses.fields(config)}
    hints = typing.get_type_hints(type(config))
    unknown = sorted(set(changes) - set(fields))
    if unknown:
        raise InputError(f"unknown option {unknown[0]!r}; a newer version may have written it, or another system")
    checked = {name: _checked(fields[name], hints[name], value) for name, value in changes.items()}
    return dataclasses.replace(config, **checked)


def _checked(field: dataclasses.Field, annotation: Any, value: Any) -> Any:
    """Return `value` in the type of its field, or raise InputError."""
    if "group" not in field.metadata:
        return value
    kind, several = element_type(annotation)
    values = value if several else [value]
    if not isinstance(values, list | tuple):
        raise InputError(f"--{field.name} takes a list, not {value!r}")
    result = tuple(_checked_element(field, kind, element) for element in values)
    return result if several else result[0]


def _checked_element(field: dataclasses.Field, kind: type, value: Any) -> Any:
    allowed = (int, float) if kind is float else kind
    if not isinstance(value, allowed) or isinstance(value, bool) != (kind is bool):
        raise InputError(f"--{field.name} takes {kind.__name__}, not {value!r}")
    if kind is not str and abs(value) > LARGEST:
        raise InputError(f"--{field.name} takes numbers up to {LARGEST:g}, not {str(value)[:20]}")
    value = kind(value)
    if kind is float and not math.isfinite(value):
        raise InputError(f"--{field.name} takes a finite number, not {value}")
    choices, minimum = field.metadata["choices"], field.metadata["minimum"]
    if choices and value not in choices:
        raise InputError(f"--{field.name} takes one of {' '.join(map(str, choices))}, not {value!r}")
    if minimum is not None and value < minimum:
        raise InputError(f"--{field.name} takes {minimum:g} or more, not {value}")
    return value


def to_json(config: Any) -> dict[str, Any]:
    """Return the fields of `config` as plain JSON values."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from `path`.

    Raises
    ------
    InputError : the file is missing, unreadable, no JSON, or no object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (ValueError, RecursionError):
        raise InputError(f"{path}: is no valid JSON; it may be damaged or half-written") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds no JSON object")
    return content
