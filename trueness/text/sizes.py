"""Sizes of the parts of a corpus that make languages slices, judged each by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trueness.document.numbers import count, decimal, listed
from trueness.spec.titles import Slices
from trueness.text.languages import UNDETERMINED

MIN_ROWS: int = Slices.model_fields["min_rows"].default
"""Texts of a language in a part that make it a slice, by default of `evaluation.min_rows`."""
LEAST = {"validation": 0.05, "test": 0.10}
"""Sizes of the parts where no language needs more."""
LARGEST = {"validation": 0.15, "test": 0.20}
"""Sizes up to which parts grow by themselves."""
PROPOSED = 0.30
"""Largest size of a part that is proposed."""
FLAGS = {"validation": "--val-size", "test": "--test-size"}
_MARGIN = 1.05  # whole clusters hit a size only about


def needed(rows: int, min_rows: int = MIN_ROWS) -> float:
    """Size of a part, in whole percent, with which so many texts of a language make it a slice.

    Examples
    --------
    >>> needed(1000), needed(150)
    (0.11, 0.7)
    """
    return -int(-100 * _MARGIN * min_rows // rows) / 100


def chosen_size(part: str, counts: Mapping[str, int]) -> float:
    """The smallest size that makes every language a slice that can be one without too large a part.

    Parameters
    ----------
    part : str
        ``validation`` or ``test``.
    counts : mapping of str to int
        Texts of each language in all parts.

    Examples
    --------
    >>> chosen_size("validation", {"en": 90_000, "de": 1500, "ja": 200})
    0.07
    >>> chosen_size("test", {"en": 90_000, "de": 1500, "ja": 200})
    0.1
    """
    sizes = [needed(rows) for name, rows in counts.items() if name != UNDETERMINED and rows]
    return max([LEAST[part], *(size for size in sizes if size <= LARGEST[part])])


def size_notes(
    chosen: Sequence[str], sizes: Mapping[str, float], counts: Mapping[str, Mapping[str, int]]
) -> list[str]:
    """Sentences about the sizes of the parts: which were chosen, and which languages are no slices.

    Parameters
    ----------
    chosen : sequence of str
        Parts whose size nobody gave.
    sizes : mapping of str to float
        Part -> its fraction of the texts.
    counts : mapping of str to mapping of str to int
        Language -> part -> texts.
    """
    known = {name: parts for name, parts in counts.items() if name != UNDETERMINED}
    return [*_chosen(chosen, sizes), *_small(known)]


def _chosen(chosen: Sequence[str], sizes: Mapping[str, float]) -> list[str]:
    if not chosen:
        return []
    named = [f"{part} {decimal(100 * sizes[part], 0)} %" for part in chosen]
    return [f"Part sizes chosen from the languages' counts: {listed(named)}; "
            f"{listed([FLAGS[part] for part in chosen])} give others."]  # fmt: skip


def _small(counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Languages that are no slices, and with which sizes they would be."""
    small = {part: [n for n, one in counts.items() if one[part] < MIN_ROWS] for part in FLAGS}
    names = list(dict.fromkeys(name for some in small.values() for name in some))
    if not names:
        return []
    shown = [f"{n} ({', '.join(f'{part} {count(counts[n][part])}' for part in FLAGS)})"
             for n in names]  # fmt: skip
    notes = [f"Fewer than {MIN_ROWS} texts in a part, so no slice there: {listed(shown)}."]
    can = [n for n in names if needed(sum(counts[n].values())) <= PROPOSED]
    if can:
        size = max(needed(sum(counts[n].values())) for n in can)
        flags = [f"{FLAGS[part]} {size}" for part, some in small.items() if set(some) & set(can)]
        what = "a slice" if len(can) == 1 else "slices"
        notes.append(f"{' '.join(flags)} would make {listed(can)} {what}.")
    if rest := [n for n in names if n not in can]:
        notes.append(f"Too few texts at any size: {listed(rest)}.")
    return notes


def part_sizes(sizes: Mapping[str, float | None], counts: Mapping[str, int]) -> dict[str, Any]:
    """Size of each part: the one that is given, else the one that is chosen.

    Examples
    --------
    >>> part_sizes({"validation": None, "test": 0.3}, {"en": 900})
    {'validation': 0.12, 'test': 0.3}
    """
    return {part: chosen_size(part, counts) if size is None else size
            for part, size in sizes.items()}  # fmt: skip
