"""What is said of texts that a run was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trueness.document import Sentence
from trueness.document.numbers import count, listed
from trueness.text.leaks import KINDS


def leaks_sentence(leaks: Mapping[str, Any], unit: str) -> Sentence:
    """How many units of another corpus the run was trained on, of which kind, and what became.

    Parameters
    ----------
    leaks : mapping
        ``n``, ``leaked``, ``kinds``, ``other_ids`` (see `trueness.text.leaks.Leaks`), ``kept``.
    unit : str
        One of them in words.
    """
    others = (
        f" {count(leaks['other_ids'])} ids stand in the training part with other words; ids of "
        "these corpora do not name the same things, and were not compared."
    ) * bool(leaks["other_ids"])
    if not leaks["leaked"]:
        return Sentence(f"No {unit} of {count(leaks['n'])} is known from training.{others}", "note")
    kinds = [f"{count(n)} with {KINDS[name]}" for name, n in leaks["kinds"].items() if n]
    known = (
        f"{count(leaks['leaked'])} of {count(leaks['n'])} {unit}s are known from training: "
        f"{listed(kinds)}"
    )
    if leaks["kept"]:
        biased = "so that what is measured is optimistically biased"
        return Sentence(
            f"{known}. They are kept, {biased}; without --keep-leaks they are left out.{others}",
            "warning",
        )
    return Sentence(f"{known}. They are left out; --keep-leaks keeps them.{others}", "note")
