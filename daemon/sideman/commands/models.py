# SPDX-License-Identifier: Apache-2.0
"""`sideman models`: lists and shows trained networks, exports them for other programs, and imports them."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sideman.commands.common import check_out_folder, print_list, silence_stderr
from sideman.core.errors import SidemanError, Unavailable, UsageError
from sideman.files import check_readable, write_file
from sideman_models.errors import BundleError
from sideman_models.network.bundle import VALUES_FILE, Bundle, bundle_names, find_bundle, load_bundle, save_bundle
from sideman_models.text import printable

_SUFFIXES = {"keras": ".keras", "litert": ".tflite"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The actions with their options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="list the networks: your own, the installed ones, those in this folder")
    showing = actions.add_parser("show", help="show one network: its card, figures and pictures")
    exporting = actions.add_parser("export", help="write a model file for Keras or LiteRT")
    for action in (showing, exporting):
        action.add_argument("name", metavar="NAME", help="a bundle's name, or its folder")
    for action in (listing, showing):
        action.add_argument("--json", action="store_true", help="print JSON")
    exporting.add_argument("file", metavar="FILE", type=Path, help="the file to write")
    exporting.add_argument("--to", choices=list(_SUFFIXES), help="the kind of file (default: by its suffix)")
    importing = actions.add_parser("import", help="make a network from a Keras model file")
    importing.add_argument("file", metavar="FILE.keras", type=Path, help="a model with the layers LSTM_cell and densor")
    like = "the bundle that has the same values and context"
    importing.add_argument("--like", required=True, metavar="NAME", help=like)
    importing.add_argument("--out", required=True, metavar="BUNDLE", type=Path, help="the folder to write")


def run(args: argparse.Namespace) -> int:
    """Perform the action."""
    {"list": _list, "show": _show, "export": _export, "import": _import}[args.action](args)
    return 0


# -- list and show


def _list(args: argparse.Namespace) -> None:
    all_facts: list[dict[str, Any]] = []
    rows = [["name", "dialect", "units", "values", "bits a value", "where"]]
    here = sorted(f"{os.curdir}{os.sep}{path.parent.name}" for path in Path().glob(f"*/{VALUES_FILE}"))
    for name in [*bundle_names(), *here]:
        path = Path(name)
        try:
            path = find_bundle(name)
            facts = _facts(load_bundle(str(path)), path)
            sizes, bits = [str(facts[each]) for each in ("dialect", "units", "values")], facts["bits_per_value"]
            row = [name, *sizes, f"{bits:.3f}" if isinstance(bits, float) else "-", str(path)]
        except BundleError as error:
            facts = {"name": name, "path": str(path), "wrong": str(error)}
            row = [name, "broken", "", "", "", str(path)]
        all_facts.append(facts)
        rows.append(row)
    print_list(all_facts, rows, "there are no networks; `sideman train` makes one", as_json=args.json)


def _facts(bundle: Bundle, path: Path) -> dict[str, Any]:
    weights, figures = bundle.weights, bundle.facts.get("figures")
    unseen = figures.get("unseen") if isinstance(figures, Mapping) else None  # of music that it has not seen, if any
    return {
        "name": bundle.name,
        "path": str(path),
        "dialect": "classic" if bundle.classic else "modern",
        "units": weights.n_a,
        "values": weights.n_values,
        "context_rows": weights.n_context,
        "bits_per_value": unseen.get("bits_per_value") if isinstance(unseen, Mapping) else None,
    }


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
        print(f"{name.replace('_', ' ')}: {'-' if value is None else printable(value)}")


# -- export and import


def _export(args: argparse.Namespace) -> None:
    kind = args.to or next((kind for kind, suffix in _SUFFIXES.items() if args.file.suffix == suffix), None)
    if kind is None:
        raise UsageError(f"{args.file}: the name must end in .keras or .tflite, or use --to")
    bundle = load_bundle(args.name)
    with silence_stderr():
        from sideman_models.network import export

        try:
            if kind == "keras":
                step = export.make_keras_model(bundle.weights)
                content = export.keras_file_bytes(step)
            else:
                content = export.litert_file_bytes(bundle.weights)
                step = export.litert_step_function(content)
        except export.NoLiteRT as error:
            raise Unavailable(f"--to litert: {error}") from error
        differs = export.max_probability_difference(step, bundle.weights)
    if not differs <= 1e-5:
        raise SidemanError(f"{args.file}: its probabilities would differ by {differs:.1g}; not written")
    write_file(args.file, content)
    print(f"{args.file}: written; its probabilities differ by {differs:.1g} at most from the original")
    print(_STEP_INTERFACE.format(w=bundle.weights, n_x=len(bundle.weights.kernel)))


_STEP_INTERFACE = """One step of the network, float32, for a batch of m (LiteRT: 1):
  in   x               (m, {n_x})  {w.n_values} rows for the previous value (one-hot; zeros at the start),
                       then {w.n_context} for the context of the next value
  in   a, c            (m, {w.n_a})  the state, zeros at the start
  in   clash           (m, {w.n_values})  1 for each value that does not fit the chord, else 0
  out  probabilities   (m, {w.n_values})  of the next value
  out  next_a, next_c  (m, {w.n_a})  the state for the next step"""


def _import(args: argparse.Namespace) -> None:
    check_readable(args.file)
    check_out_folder(args.out, VALUES_FILE, "a bundle")
    like = load_bundle(args.like)
    from sideman_models.network.keras_file import read_keras_file  # imports h5py, which comes with Keras

    bundle = read_keras_file(args.file, like, args.out.resolve().name)
    save_bundle(bundle, args.out)
    print(f"{args.out}: written, {bundle.weights.n_a} units, the values of {like.name}")
