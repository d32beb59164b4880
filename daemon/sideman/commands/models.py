# SPDX-License-Identifier: Apache-2.0
"""`sideman models`: the trained networks there are, what they are, and how to take them elsewhere and back."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sideman.commands.common import format_table
from sideman.commands.quiet import silence_stderr
from sideman.core.errors import SidemanError, Unavailable, UsageError
from sideman.files import check_readable, write_file
from sideman_models.errors import BundleError
from sideman_models.network.bundle import VALUES_FILE, Bundle, bundle_names, find_bundle, load_bundle, save_bundle

MAX_DIFFERENCE = 1e-5
"""An exported network's probabilities differ by no more than this."""

_SUFFIXES = {"keras": ".keras", "litert": ".tflite"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be done, each with its own options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="the networks there are, your own and the installed ones")
    showing = actions.add_parser("show", help="the card, the figures and the pictures of one")
    showing.add_argument("name", metavar="NAME", help="a bundle's name, or its folder")
    for one in (listing, showing):
        one.add_argument("--json", action="store_true", help="as JSON")
    exporting = actions.add_parser("export", help="a model file for Keras or LiteRT")
    exporting.add_argument("name", metavar="NAME", help="a bundle's name, or its folder")
    exporting.add_argument("file", metavar="FILE", type=Path, help="the file to write")
    exporting.add_argument("--to", choices=list(_SUFFIXES), help="of which kind (default: by the file's suffix)")
    importing = actions.add_parser("import", help="a Keras model file as a network to play with")
    importing.add_argument("file", metavar="FILE.keras", type=Path, help="with the layers LSTM_cell and densor")
    importing.add_argument("--like", required=True, metavar="NAME", help="the bundle whose values and context it has")
    importing.add_argument("--out", required=True, metavar="BUNDLE", type=Path, help="the folder to write")


def run(args: argparse.Namespace) -> int:
    """Do what is asked for. Raises the errors of what is missing, broken or cannot be written."""
    {"list": _list, "show": _show, "export": _export, "import": _import}[args.action](args)
    return 0


# -- what there is


@dataclass(frozen=True, slots=True)
class _BundleRow:
    """A bundle in the list: what it is, or what is wrong with it."""

    name: str
    path: Path
    bundle: Bundle | None
    problem: str = ""

    def facts(self) -> dict[str, Any]:
        """As JSON has it."""
        if self.bundle is None:
            return {"name": self.name, "path": str(self.path), "wrong": self.problem}
        return _facts(self.bundle, self.path)

    def row(self) -> list[str]:
        """The cells of its row in the table."""
        if self.bundle is None:
            return [self.name, "broken", "", "", "", str(self.path)]
        weights, unseen = self.bundle.weights, _unseen_figures(self.bundle)
        sizes = ["classic" if self.bundle.classic else "modern", str(weights.n_a), str(weights.n_values)]
        return [self.name, *sizes, _format_bits(unseen.get("bits_per_value")), str(self.path)]


def _list(args: argparse.Namespace) -> None:
    listed = [_bundle_row(name) for name in bundle_names()]
    if args.json:
        print(json.dumps([one.facts() for one in listed], ensure_ascii=False))
        return
    if not listed:
        print("no networks; `sideman train` makes one")
    head = ["name", "dialect", "units", "values", "bits a value", "where"]
    for line in format_table([head, *(one.row() for one in listed)] if listed else []):
        print(line)


def _bundle_row(name: str) -> _BundleRow:
    path = find_bundle(name)
    try:
        return _BundleRow(name, path, load_bundle(str(path)))
    except BundleError as error:
        return _BundleRow(name, path, None, str(error))


def _facts(bundle: Bundle, path: Path) -> dict[str, Any]:
    weights = bundle.weights
    return {
        "name": bundle.name,
        "path": str(path),
        "dialect": "classic" if bundle.classic else "modern",
        "units": weights.n_a,
        "values": weights.n_values,
        "context_rows": weights.n_context,
        "bits_per_value": _unseen_figures(bundle).get("bits_per_value"),
    }


def _unseen_figures(bundle: Bundle) -> Mapping[str, Any]:
    """The figures on music it had not seen, where its facts have any: they are told, and never relied on."""
    figures = bundle.facts.get("figures")
    unseen = figures.get("unseen") if isinstance(figures, Mapping) else None
    return unseen if isinstance(unseen, Mapping) else {}


def _format_bits(figure: object) -> str:
    return f"{figure:.3f}" if isinstance(figure, float) else "-"


def _show(args: argparse.Namespace) -> None:
    bundle = load_bundle(args.name)
    path = find_bundle(args.name)
    pictures = sorted(str(picture) for picture in path.glob("*.png"))
    if args.json:
        more = {"context": bundle.context.names, "facts": bundle.facts, "card": bundle.card, "pictures": pictures}
        print(json.dumps({**_facts(bundle, path), **more}, ensure_ascii=False))
        return
    print(bundle.card.strip() or f"# {bundle.name}\n\nIt has no card.")
    print()
    for name, value in {**_facts(bundle, path), "pictures": ", ".join(pictures) or "none"}.items():
        print(f"{name.replace('_', ' ')}: {'-' if value is None else value}")


# -- elsewhere and back


def _export(args: argparse.Namespace) -> None:
    kind = args.to or next((kind for kind, suffix in _SUFFIXES.items() if args.file.suffix == suffix), None)
    if kind is None:
        raise UsageError(f"{args.file}: end it in .keras or .tflite, or say --to keras or --to litert")
    bundle = load_bundle(args.name)
    with silence_stderr():
        content, differs = _exported(bundle, kind)
    if not differs <= MAX_DIFFERENCE:
        raise SidemanError(f"{args.file}: its probabilities would differ by {differs:.1g}; nothing is written")
    write_file(args.file, content)
    print(f"{args.file}: written; probabilities differ by {differs:.1g} at most from those that are played")
    print(_STEP_INTERFACE.format(w=bundle.weights, n_x=len(bundle.weights.kernel)))


def _exported(bundle: Bundle, kind: str) -> tuple[bytes, float]:
    """The contents of the file, and by how much its probabilities differ from those that are played."""
    from sideman_models.network import export

    try:
        if kind == "keras":
            model = export.make_keras_model(bundle.weights)
            content, step = export.keras_file_bytes(model), export.keras_step_function(model)
        else:
            content = export.litert_file_bytes(bundle.weights)
            step = export.litert_step_function(content)
    except export.NoLiteRT as error:
        raise Unavailable(f"--to litert: {error}") from error
    return content, export.max_probability_difference(step, bundle.weights)


_STEP_INTERFACE = """One step of the network, float32, for a batch of m (LiteRT: 1):
  in   x               (m, {n_x})  {w.n_values} rows for the value before (one-hot; zeros at the start),
                       then {w.n_context} for the context of the coming one
  in   a, c            (m, {w.n_a})  the state, zeros at the start
  in   clash           (m, {w.n_values})  1 for each value that does not fit the chord, else 0
  out  probabilities   (m, {w.n_values})  of the coming value
  out  next_a, next_c  (m, {w.n_a})  the state to go on with"""


def _import(args: argparse.Namespace) -> None:
    check_readable(args.file)
    if args.out.exists() and not (args.out / VALUES_FILE).is_file():
        raise UsageError(f"--out {args.out}: something that is not a bundle is already there")
    like = load_bundle(args.like)
    with silence_stderr():
        from sideman_models.network.export import read_keras_file

        bundle = read_keras_file(args.file, like, args.out.resolve().name)
    save_bundle(bundle, args.out)
    print(f"{args.out}: written, {bundle.weights.n_a} units, the values of {like.name}")
