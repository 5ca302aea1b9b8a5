"""Descriptions of Debian packages in many languages, from the index files of the package client.

A text is the short description and then the long one; its label is the section of the package, its
cluster the source package. Translations come from ``*_i18n_Translation-xx``, sections and sources
from ``*_Packages``, both as ``apt-get update`` keeps them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Self
from urllib.parse import unquote

import polars as pl

from trueness.errors import DataError
from trueness.text.sources import BATCH_ROWS, Batch, Piece, cleaned, opened

BOILERPLATE = {
    "debug": "one sentence about debugging symbols",
    "doc": "documentation of packages of all other sections, in fixed words",
    "introspection": "one sentence about data for bindings",
    "libdevel": "'contains the development files'; the subject is that of another section",
    "libs": "'contains the shared library'; the subject is that of another section",
    "localization": "language packs: the text names the language and little else",
    "metapackages": "lists of packages",
    "oldlibs": "'transitional package, can be removed'",
    "rust": "two sentences of one generator",
    "tasks": "lists of packages",
}
"""Sections left out, and why their texts give them away or say nothing of their own."""
MIN_CLASS_ROWS = 2000
_PACKAGES = re.compile(r"_Packages(?:\.(?:gz|xz|bz2))?$")
_TRANSLATION = re.compile(
    r"_i18n_Translation-([A-Za-z]{2,3}(?:(?:_|%5f|@)\w+)?)(?:\.(?:gz|xz|bz2))?$"
)
NOT_READ = ".lz4"
_REPEATED = "description repeats that of another package"
HOW = (
    "apt-get update with -o Dir::State::Lists=FOLDER, -o Acquire::GzipIndexes=false and "
    "-o Acquire::Languages=en,de,... fetches them (docs/how-to/build-a-corpus.md)"
)


@dataclass(frozen=True)
class Debian:
    """Package descriptions below a folder of index files.

    A description that several packages share is taken once, and not at all if they are in different
    sections: such are the texts of transitional packages.

    Parameters
    ----------
    lists : Path
        Such as ``/var/lib/apt/lists``.
    languages : tuple of str
        Codes as in the names of the files (``de``, ``pt_BR``); empty for all there are.
    titles_only : bool
        Without the long description.
    max_chars : int or None
        Longer texts are cut.
    """

    lists: Path
    languages: tuple[str, ...] = ()
    titles_only: bool = False
    max_chars: int | None = None
    min_class_rows: int = MIN_CLASS_ROWS
    max_bytes: None = None
    kept: Path | None = None

    def prepared(self, folder: Path) -> Self:
        """Lists with their sections and sources kept in one file in a scratch folder."""
        packages = [path for path in _files(self.lists) if _PACKAGES.search(path.name)]
        if not packages:
            raise DataError(
                f"{self.lists}: no readable *_Packages file{_unread(self.lists)}; {HOW}"
            )
        known = _translations(self.lists)
        if not known:
            raise DataError(f"{self.lists}: no *_i18n_Translation file; {HOW}")
        missing = [code for code in self.languages if code not in known]
        if missing:
            raise DataError(
                f"{self.lists}: no translation into {', '.join(missing)}; there are "
                f"{', '.join(sorted(known))}"
            )
        kept = folder / "packages.parquet"
        rows = {row[0]: row for path in packages for row in _packages(path)}
        pl.DataFrame(
            list(rows.values()), orient="row",
            schema=dict.fromkeys(("package", "section", "source", "md5"), pl.String),
        ).write_parquet(kept)  # fmt: skip
        return replace(self, kept=kept, languages=self.languages or tuple(sorted(known)))

    def provenance(self) -> dict[str, Any]:
        """Names of the files, and the sections left out."""
        return {
            "kind": "debian", "files": [piece.name for piece in self.pieces()],
            "languages": list(self.languages), "left_out": sorted(BOILERPLATE),
            "titles_only": self.titles_only, "max_chars": self.max_chars,
        }  # fmt: skip

    def pieces(self) -> list[Piece]:
        """Translation files, language after language."""
        known = _translations(self.lists)
        return [
            Piece(path.name, path.stat().st_size)
            for code in sorted(self.languages or known)
            for path in known[code]
        ]

    def batches(self, piece: Piece) -> Iterator[Batch]:
        """Descriptions of a translation file."""
        if self.kept is None:
            raise DataError(f"{self.lists}: call prepared() before reading")
        table = pl.read_parquet(self.kept, glob=False)
        of = {package: (section, source) for package, section, source, _ in table.iter_rows()}
        seen = _ambiguous(table)
        code = _language(piece.name)
        rows: list[tuple[str, ...]] = []
        skipped: Counter[str] = Counter()
        for stanza in _stanzas(self.lists / piece.name):
            row = _row(stanza, code, of, self.titles_only)
            if isinstance(row, str):
                skipped[row] += 1
            elif reason := seen.get(stanza.get("description-md5", "")):
                skipped[reason] += 1
            else:
                seen[stanza.get("description-md5", "")] = _REPEATED
                rows.append(row)
            if len(rows) == BATCH_ROWS:
                yield _batch(rows, skipped, self.max_chars)
                rows, skipped = [], Counter()
        yield _batch(rows, skipped, self.max_chars)


def _ambiguous(packages: pl.DataFrame) -> dict[str, str]:
    """Descriptions that packages of several sections share, and why they are skipped."""
    sections = packages.group_by("md5").agg(pl.col("section").n_unique())
    shared = sections.filter((pl.col("section") > 1) & (pl.col("md5") != ""))
    return dict.fromkeys(shared["md5"], "description shared by packages of several sections")


def _batch(rows: list[tuple[str, ...]], skipped: Counter[str], max_chars: int | None) -> Batch:
    names = ("id", "text", "label", "language", "cluster")
    frame = pl.DataFrame(rows, orient="row", schema=dict.fromkeys(names, pl.String))
    frame, dropped = cleaned(frame, max_chars)
    return Batch(frame, len(rows) + skipped.total(), skipped + dropped)


def _row(
    stanza: Mapping[str, str], code: str, of: Mapping[str, tuple[str, str]], titles_only: bool
) -> tuple[str, ...] | str:
    """Fields of one description, or the reason why it is skipped."""
    package, described = stanza.get("package"), stanza.get(f"description-{code.lower()}")
    if package is None or described is None:
        return "no package or no description"
    if package not in of:
        return "package unknown to the index"
    section, source = of[package]
    if section in BOILERPLATE:
        return f"section {section}"
    if titles_only:
        described = described.partition("\n")[0]
    identity = f"{package}/{stanza.get('description-md5', '')[:8]}/{code}"
    return identity, without_names(described, {package, source}), section, code, source


def without_names(text: str, names: Sequence[str] | set[str]) -> str:
    r"""Description as one line, without names that stand in it as whole words, in any case.

    Examples
    --------
    >>> without_names("The zsh shell\n Zsh-like, not zshell", {"zsh"})
    'The shell -like, not zshell'
    """
    text = " ".join(line for line in text.split("\n") if line.strip() != ".")
    folded = text.casefold()
    for name in names:
        if name.casefold() in folded:
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", " ", text, flags=re.IGNORECASE)
    return " ".join(text.split())


# ------------------------------------------------------------------------------------------- files


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give one like /var/lib/apt/lists")
    return sorted(path for path in folder.iterdir() if path.is_file())


def _unread(folder: Path) -> str:
    packed = sum(path.suffix == NOT_READ for path in _files(folder))
    return f" ({packed} of its files are {NOT_READ}, which is not read)" if packed else ""


def _language(name: str) -> str:
    """Code in the name of a translation file, as apt writes it: ``%5f`` is an underscore."""
    result = _TRANSLATION.search(name)
    return unquote(result[1]) if result else ""


def _translations(folder: Path) -> dict[str, list[Path]]:
    """Language -> its files."""
    result: dict[str, list[Path]] = {}
    for path in _files(folder):
        if _TRANSLATION.search(path.name):
            result.setdefault(_language(path.name), []).append(path)
    return result


def _packages(path: Path) -> Iterator[tuple[str, str, str, str]]:
    """Package, section, source and description of stanzas; a section may stand behind an area."""
    for stanza in _stanzas(path):
        if "package" in stanza and "section" in stanza:
            section = stanza["section"].rpartition("/")[2]
            source = stanza.get("source", stanza["package"]).partition(" ")[0]
            yield stanza["package"], section, source, stanza.get("description-md5", "")


def _stanzas(path: Path) -> Iterator[dict[str, str]]:
    """Fields of every stanza by their names in lower case, continued lines joined by newlines."""
    stanza: dict[str, str] = {}
    field = ""
    try:
        with opened(path) as file:
            for line in _text_lines(file):
                if not line:
                    if stanza:
                        yield stanza
                    stanza, field = {}, ""
                elif line[0] in " \t":
                    if field:
                        stanza[field] += "\n" + line[1:]
                else:
                    name, _, value = line.partition(":")
                    field = name.lower()
                    stanza[field] = value.strip()
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read ({error}); fetch it again: {HOW}") from None
    if stanza:
        yield stanza


def _text_lines(file: BinaryIO) -> Iterator[str]:
    """Lines without their ends; bytes that are no UTF-8 become U+FFFD."""
    for line in file:
        yield line.decode(errors="replace").rstrip("\r\n")
