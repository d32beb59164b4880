# SPDX-License-Identifier: Apache-2.0
"""The generated parts of the documentation are what the code says now."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from types import ModuleType

import pytest

from sideman.control.codec import ReceivedRequest, decode_message
from sideman.core.turns import MODE_NAMES
from support.processes import ROOT


def _load_generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = _load_generate()
FILES = {path.relative_to(ROOT).as_posix(): text for path, text in generate.generated_files()}
CONTROL_PAGE = (ROOT / "docs" / "control.md").read_text("utf-8")
SCHEMA = json.loads((ROOT / "docs" / "control.schema.json").read_text("utf-8"))


@pytest.mark.parametrize("path", FILES)
def test_a_generated_file_is_up_to_date(path: str) -> None:
    """Guards against: documentation that differs from the program; `make generate` writes it again."""
    assert (ROOT / path).read_text("utf-8") == FILES[path]


def test_every_section_is_in_a_page() -> None:
    """Guards against: a table that is generated and not shown to anybody."""
    pages = "".join((ROOT / path).read_text("utf-8") for path in FILES)
    assert set(re.findall(r"<!-- generated: ([\w-]+) -->", pages)) == generate.SECTIONS.keys()


def test_check_names_the_files_that_differ(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against: a check in CI that passes whatever is written."""
    monkeypatch.setattr(sys, "argv", ["generate.py", "--check"])
    assert generate.main() == 0
    monkeypatch.setitem(generate.SECTIONS, "control-osc", lambda: "another table\n")
    assert generate.main() == 1
    assert capsys.readouterr().out == "docs/control.md differs; run `make generate`\n"


def test_the_examples_of_the_control_page_are_right() -> None:
    """Guards against: examples that fail for the first reader who tries them."""
    lines = re.findall(r"^\{.*\}$", CONTROL_PAGE, re.MULTILINE)
    assert len(lines) >= 6
    for line in lines:
        if '"do"' in line:
            ReceivedRequest(line.encode()).read()
        else:
            decode_message(line)


def test_the_schema_describes_the_same_lines_as_before() -> None:
    """Guards against: a program that uses the schema and no longer finds the names in it."""
    definitions = SCHEMA["$defs"]
    assert {each["$ref"].rpartition("/")[2] for each in SCHEMA["oneOf"]} == {"request", "reply", "event", "event_2"}
    beat = definitions["BeatEvent"]
    assert beat["required"] == [name for name in beat["properties"] if name != "second"]  # only version 2 has it
    assert definitions["TempoEvent"]["required"] == list(definitions["TempoEvent"]["properties"])
    assert [definitions[name]["properties"]["v"] for name in ("event", "event_2")] == [{"const": 1}, {"const": 2}]
    assert beat["properties"]["event"] == {"enum": ["beat"]}
    assert definitions["ModeEvent"]["properties"]["mode"] == {"enum": list(MODE_NAMES)}
    assert definitions["SetRequest"]["additionalProperties"] is False
    assert definitions["result_of"]["properties"].keys() >= {"status", "get", "set", "preset", "reload", "keep"}
