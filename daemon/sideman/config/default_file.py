# SPDX-License-Identifier: Apache-2.0
"""The text of `config/default.yaml`: every setting with its default and its description, made from the schema."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from sideman.core.settings.schema import GROUPS, KEYS, SettingKey
from sideman.core.settings.types import plain_text

_WIDTH = 100
_HEAD = """\
All settings of sideman, with their default values.

To change some of them, copy this file to ~/.config/sideman/config.yaml (for a service: /etc/sideman/config.yaml), \
edit the lines that you want to change and delete the others: a setting that your file leaves out keeps its default. \
`sideman check` finds mistakes.

Settings from several places override each other in this order: these defaults, a preset (--preset bebop), your file, \
single settings on the command line (--set play.temperature=1.3 --set tempo.bpm=180)."""


def default_yaml() -> str:
    """Return the text of the file."""
    lines = [line for paragraph in _HEAD.split("\n") for line in _comment(paragraph, "")]
    for name, group in GROUPS.items():
        lines += ["", *_comment((group.__doc__ or "").partition("\n")[0], ""), f"{name}:"]
        keys = [key for key in KEYS.values() if key.name.startswith(f"{name}.")]
        for number, key in enumerate(keys):
            lines += [*([""] if number else []), *_setting(key)]
    return "\n".join(lines) + "\n"


def _setting(key: SettingKey) -> Iterator[str]:
    yield from _comment(key.doc, "  ")
    yield from _comment(f"Allowed: {key.value_type.allowed}.", "  ")
    name, text = key.name.partition(".")[2], plain_text(key.value_type.write(key.default))
    if "\n" in text:
        yield f"  {name}: |"
        yield textwrap.indent(text, "    ")
    else:
        yield f"  {name}: {text}"


def _comment(paragraph: str, indent: str) -> list[str]:
    start = f"{indent}# "
    lines = textwrap.wrap(
        paragraph, _WIDTH, initial_indent=start, subsequent_indent=start, break_long_words=False, break_on_hyphens=False
    )
    return lines or [start.rstrip()]
