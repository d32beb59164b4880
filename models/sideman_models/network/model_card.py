# SPDX-License-Identifier: Apache-2.0
"""The model card `CARD.md`: what a network is, what it was trained on, its licence, and how well it predicts music."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sideman_models.network.bundle import Bundle
from sideman_models.text import count_noun


def model_card(bundle: Bundle, facts: Mapping[str, Any], pictures: Sequence[tuple[str, str]] = ()) -> str:
    """Return the text of `CARD.md`, from the facts that training wrote: see `training.train` and `course.train`.

    `pictures` are pairs: the name of a file in the bundle, and what it shows.
    """
    weights, features = bundle.weights, ", ".join(bundle.context.names)
    summary = (
        f"A network for sideman: one LSTM cell of {weights.n_a} units and one softmax over {weights.n_values}"
        f" musical values ({'classic' if bundle.classic else 'modern'})."
    )
    summary += f" It reads {weights.n_context} context rows: {features}." if features else ""
    licence = str(facts.get("licence") or "").strip()
    sections = [
        [f"# {bundle.name}"],
        [summary],
        _music_section(facts),
        ["## Licence", "", licence] if licence else [],
        _training_section(facts),
        _figures_section(bundle, facts),
        *([f"![{shown}]({name})"] for name, shown in pictures),
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def _music_section(facts: Mapping[str, Any]) -> list[str]:
    lines = ["## Training music", ""]
    lines += [f"- {source}" for source in facts["sources"]]
    lines += [f"- `{name}`, sha256 {sha256}" for name, sha256 in facts["files"].items()]
    used, corpus = facts["trained_on"], facts["corpus"]
    lines.append(f"- used for training: {used['pieces']} of {corpus['pieces']} pieces, {used['values']:,} values")
    if corpus["left_out"]:
        lines.append(f"- left out: {', '.join(f'{count} {reason}' for reason, count in corpus['left_out'].items())}")
    return [*lines, "", "If you pass this network on, name these sources and their licences."]


def _training_section(facts: Mapping[str, Any]) -> list[str]:
    versions = ", ".join(f"{name} {version}" for name, version in facts["made_with"].items())
    base = facts.get("from")
    lines = ["## Training", ""]
    if base:
        lines += [f"Training started from the network {base['name']} (weights {base['weights_sha256']}).", ""]
    lines += ["```", facts["command"], "```", ""]
    return [*lines, f"{count_noun(facts['epochs'], 'epoch')} ({facts['ended']}), with {versions}."]


def _figures_section(bundle: Bundle, facts: Mapping[str, Any]) -> list[str]:
    if bundle.classic:
        return ["## Training loss", "", f"Summed loss {facts['figures']['loss']} after {facts['epochs']} epochs."]
    lines = ["## Prediction of unseen music", ""]
    figures = facts["figures"].get("unseen")
    if figures is None:
        return [*lines, f"Not measured: {facts.get('kept_back', 'too few pieces to hold any out')}."]
    lines.append(f"Measured on titles that were held out from training: {facts['kept_back']}.")
    lines.append(f"The same titles decided which epoch was kept: epoch {facts['best_epoch']}.")
    rows = [f"| {name.replace('_', ' ')} | {value} |" for name, value in figures.items() if value is not None]
    return [*lines, "", "| figure | |", "| --- | --- |", *rows]
