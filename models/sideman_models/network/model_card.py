# SPDX-License-Identifier: Apache-2.0
"""The card that goes with a trained network: what it is, what it learned from, under which licence, and how well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sideman_models.network.bundle import Bundle


def model_card(bundle: Bundle, facts: Mapping[str, Any], pictures: Sequence[tuple[str, str]] = ()) -> str:
    """The text of `CARD.md`. `pictures` are the names of files beside it, each with what it shows."""
    parts = [
        [f"# {bundle.name}"],
        [_summary(bundle)],
        _music_section(facts),
        _licence_section(facts),
        _training_section(facts),
    ]
    parts += [_figures_section(bundle, facts), *([f"![{shown}]({name})"] for name, shown in pictures)]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _summary(bundle: Bundle) -> str:
    weights, told = bundle.weights, ", ".join(bundle.context.names)
    dialect = "classic" if bundle.classic else "modern"
    cell = f"A network for sideman: one LSTM cell of {weights.n_a} units and one softmax over {weights.n_values}"
    context = f" It is told {weights.n_context} rows of context: {told}." if told else ""
    return f"{cell} musical values ({dialect}).{context}"


def _licence_section(facts: Mapping[str, Any]) -> list[str]:
    """What whoever trained it says of its licence."""
    text = str(facts.get("licence") or "").strip()
    return ["## Licence", "", text] if text else []


def _music_section(facts: Mapping[str, Any]) -> list[str]:
    lines = ["## What it learned from", ""]
    lines += [f"- {source}" for source in facts["sources"]]
    lines += [f"- `{name}`, sha256 {sha256}" for name, sha256 in facts["files"].items()]
    learned, corpus = facts["trained_on"], facts["corpus"]
    lines.append(f"- {learned['pieces']} pieces, {learned['values']:,} values, of {corpus['pieces']} pieces there")
    if corpus["left_out"]:
        lines.append(f"- left out: {', '.join(f'{count} {reason}' for reason, count in corpus['left_out'].items())}")
    lines += [
        "",
        "Whoever passes this network on names the source and its licence, as here.",
    ]
    return lines


def _training_section(facts: Mapping[str, Any]) -> list[str]:
    versions = ", ".join(f"{name} {version}" for name, version in facts["made_with"].items())
    base = facts.get("from")
    begun = [f"It began from the network {base['name']} (weights {base['weights_sha256']}).", ""] if base else []
    return [
        "## How it was made",
        "",
        *begun,
        "```",
        facts["command"],
        "```",
        "",
        f"{facts['epochs']} epoch{'' if facts['epochs'] == 1 else 's'} ({facts['ended']}), with {versions}.",
    ]


def _figures_section(bundle: Bundle, facts: Mapping[str, Any]) -> list[str]:
    if bundle.classic:
        return ["## How well it learned", "", f"Summed loss {facts['figures']['loss']} after {facts['epochs']} epochs."]
    lines = ["## How well it foretells music it has not seen", ""]
    figures = facts["figures"].get("unseen")
    if figures is None:
        why = facts.get("kept_back", "too few pieces to keep any back")
        return [*lines, f"Not measured: {why}."]
    rows = [(name.replace("_", " "), value) for name, value in figures.items() if value is not None]
    return [
        *lines,
        f"On pieces of titles that were kept from training: {facts['kept_back']}.",
        f"They also chose the epoch: number {facts['best_epoch']}.",
        "",
        "| figure | |",
        "| --- | --- |",
        *(f"| {name} | {value} |" for name, value in rows),
    ]
