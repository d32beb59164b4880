# SPDX-License-Identifier: Apache-2.0
"""A validator for the part of JSON Schema that docs/control.schema.json uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "null": (type(None),),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "string": (str,),
    "array": (list,),
    "object": (dict,),
}
_KNOWN = {"$defs", "$id", "$ref", "$schema", "additionalProperties", "anyOf", "const", "description", "enum", "items",
          "oneOf", "properties", "required", "title", "type"}  # fmt: skip


def schema_problems(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """What is wrong with `value`, one line for each problem."""
    assert schema.keys() <= _KNOWN, f"{path}: {schema.keys() - _KNOWN}: not checked by this validator"
    if "$ref" in schema:
        yield from schema_problems(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root, path)
        return
    for each in schema.keys() & {"anyOf", "oneOf"}:
        fitting = sum(not list(schema_problems(value, one, root, path)) for one in schema[each])
        if fitting != 1 and (each == "oneOf" or not fitting):
            yield f"{path}: {value!r}: fits {fitting} of {each}"
    yield from _plain_problems(value, schema, path)
    if isinstance(value, list):
        for number, each in enumerate(value):
            yield from schema_problems(each, schema.get("items", {}), root, f"{path}[{number}]")
    elif isinstance(value, dict):
        yield from _object_problems(value, schema, root, path)


def _plain_problems(value: Any, schema: Mapping[str, Any], path: str) -> Iterator[str]:
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types and not any(_has_type(value, name) for name in types):
        yield f"{path}: {value!r} is no {' or '.join(types)}"
    elif "const" in schema and value != schema["const"]:
        yield f"{path}: {value!r} is not {schema['const']!r}"
    elif "enum" in schema and value not in schema["enum"]:
        yield f"{path}: {value!r} is none of {schema['enum']}"


def _object_problems(
    value: dict[str, Any], schema: Mapping[str, Any], root: Mapping[str, Any], path: str
) -> Iterator[str]:
    known = schema.get("properties", {})
    yield from (f"{path}: {name} is missing" for name in schema.get("required", []) if name not in value)
    for name, each in value.items():
        if name in known:
            yield from schema_problems(each, known[name], root, f"{path}.{name}")
        elif schema.get("additionalProperties") is False:
            yield f"{path}: {name} is not known"


def _has_type(value: object, name: str) -> bool:
    return isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool))
