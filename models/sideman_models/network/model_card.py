# SPDX-License-Identifier: Apache-2.0
"""The model card `CARD.md`: what a network is, what it was trained on, its licence, and how well it predicts music."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sideman_models.network.bundle import Bundle
from sideman_models.text import count_noun


def model_card(bundle: Bundle, facts: Mapping[str, Any], pictures: Sequence[tuple[str, str]] = ()) -> str:
    """Return the text of `CARD.md`, from the facts that training wrote: see `training.train` and `course.train`.

    `pictures` are pairs: the name of a file in the bundle, and what it shows.
    """
    paragraphs = [*_network_and_music(bundle, facts), *_training_and_figures(bundle, facts), *_touch(facts)]
    return "\n\n".join([*paragraphs, *(f"![{shown}]({name})" for name, shown in pictures)]) + "\n"


def _network_and_music(bundle: Bundle, facts: Mapping[str, Any]) -> Iterator[str]:
    yield f"# {bundle.name}"
    weights, features = bundle.weights, ", ".join(bundle.context.names)
    yield (
        f"A network for sideman: one LSTM cell of {weights.n_a} units and one softmax over {weights.n_values}"
        f" musical values ({'classic' if bundle.classic else 'modern'})."
        + (f" It reads {weights.n_context} context rows: {features}." if features else "")
        + (
            " It has learned how likely a motif is to come again, by the length of its run."
            if weights.motif.any()
            else ""
        )
    )
    yield "## Training music"
    used, corpus = facts["trained_on"], facts["corpus"]
    lines = [f"- {source}" for source in facts["sources"]]
    lines += [f"- `{name}`, sha256 {sha256}" for name, sha256 in facts["files"].items()]
    lines.append(f"- used for training: {used['pieces']} of {corpus['pieces']} pieces, {used['values']:,} values")
    if corpus["left_out"]:
        lines.append(f"- left out: {', '.join(f'{count} {reason}' for reason, count in corpus['left_out'].items())}")
    yield "\n".join(lines)
    yield "If you pass this network on, name these sources and their licences."
    if licence := str(facts.get("licence") or "").strip():
        yield f"## Licence\n\n{licence}"


def _training_and_figures(bundle: Bundle, facts: Mapping[str, Any]) -> Iterator[str]:
    yield "## Training"
    if base := facts.get("from"):
        yield f"Training started from the network {base['name']} (weights {base['weights_sha256']})."
    if teachers := facts.get("teachers"):
        names = ", ".join(f"{each['name']} (weights {each['weights_sha256']})" for each in teachers)
        yield f"It was taught by {names}, in {facts['lessons']:,} values that they played."
    if arrangements := facts.get("arrangements"):
        yield f"It has also learned from arrangements of this music, with {arrangements:,} values."
    yield f"```\n{facts['command']}\n```"
    versions = ", ".join(f"{name} {version}" for name, version in facts["made_with"].items())
    yield f"{count_noun(facts['epochs'], 'epoch')} ({facts['ended']}), with {versions}."
    if bundle.classic:
        yield f"## Training loss\n\nSummed loss {facts['figures']['loss']} after {facts['epochs']} epochs."
        return
    yield "## Prediction of unseen music"
    if (figures := facts["figures"].get("unseen")) is None:
        yield f"Not measured: {facts.get('kept_back', 'too few pieces to hold any out')}."
        return
    yield (
        f"Measured on titles that were held out from training: {facts['kept_back']}.\n"
        f"The same titles decided which epoch was kept: epoch {facts['best_epoch']}."
    )
    rows = [f"| {name.replace('_', ' ')} | {value} |" for name, value in figures.items() if value is not None]
    yield "\n".join(["| figure | |", "| --- | --- |", *rows])


_TOUCH_FIGURES = {
    "notes": "notes",
    "loudness_correlation": "correlation with the players' loudness",
    "loudness_alone": "the same without the loudness of the last note",
    "ruled_correlation": "correlation of the rule in its place",
    "placement_explained": "share of the placement that is explained",
}


def _touch(facts: Mapping[str, Any]) -> Iterator[str]:
    if not isinstance(about := facts.get("readouts"), Mapping):
        return
    yield "## Touch and placement"
    files = ", ".join(f"`{name}`, sha256 {sha256}" for name, sha256 in about["files"].items())
    yield (
        f"How loud and how late each note is played was learned from {count_noun(about['pieces'], 'piece')} ({files}),"
        f" with the network as it is:\n\n```\n{about['command']}\n```"
    )
    if new := [source for source in about["sources"] if source not in facts["sources"]]:
        yield "\n".join(f"- {source}" for source in new)
    if figures := about.get("figures"):
        rows = [f"| {text} | {figures[name]} |" for name, text in _TOUCH_FIGURES.items() if name in figures]
        yield "\n".join(["Measured on the titles that were held out:\n", "| figure | |", "| --- | --- |", *rows])
