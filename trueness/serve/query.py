"""What a page of the leaderboard is asked for: its whole state stands in its address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from trueness.errors import TruenessError, nearest
from trueness.judge.choice import Choice

ROWS = 50
"""Of a page."""
LONGEST = 200
"""Letters of one word of an address."""
MOST = 24
"""Columns or conditions of one page."""


@dataclass(frozen=True)
class Query:
    """What is shown of which runs.

    Attributes
    ----------
    group, campaign : str
        Comparison group and campaign; the largest group and all campaigns by default.
    sort, order : str
        What sorts, and whether ``ascending``; by default what the group is judged by, the best
        first.
    columns : tuple of str
        Further columns.
    search : str
        Part of an id, a label or a tag.
    where : tuple of str
        Conditions such as ``recipe.learning_rate<=0.001``.
    by : str
        Field whose values make a row each.
    kind : str
        ``candidates`` or ``baselines``; both without.
    page : int
        From 1 on.
    """

    group: str = ""
    campaign: str = ""
    sort: str = ""
    order: str = ""
    columns: tuple[str, ...] = ()
    search: str = ""
    where: tuple[str, ...] = ()
    by: str = ""
    kind: str = ""
    page: int = 1

    @classmethod
    def of(cls, params: QueryParams) -> Query:
        """Query of an address.

        Raises
        ------
        TruenessError
            With the code ``query``, or those of `Choice`, for what cannot be asked.
        """
        names = "group", "campaign", "sort", "order", "search", "by", "kind"
        texts = words_of(params, names, ("columns", "where", "page"))
        page = page_of(params)
        several = {n: tuple(v for v in params.getlist(n) if v) for n in ("columns", "where")}
        if any(len(values) > MOST for values in several.values()):
            raise TruenessError(f"at most {MOST} columns and conditions", "query")
        query = cls(**texts, columns=several["columns"], where=several["where"], page=page)
        _ = query.choice  # refused now, if at all
        return query

    @property
    def choice(self) -> Choice:
        """Which runs it shows, and in which order."""
        return Choice(self.where, self.search, self.kind, self.sort, self.order, self.columns)

    def address(self, path: str = "/leaderboard", **changes: Any) -> str:  # noqa: ANN401
        """Address of the same with changes; a change leads to the first page."""
        made = replace(self, **{"page": 1, **changes})
        pairs: list[tuple[str, str]] = []
        for one in fields(made):
            value = getattr(made, one.name)
            if value != one.default:
                values: Sequence[Any] = value if isinstance(value, tuple) else (value,)
                pairs += [(one.name, str(each)) for each in values]
        return f"{path}?{urlencode(pairs)}" if pairs else path


def words_of(
    params: QueryParams, names: Sequence[str], others: Sequence[str] = ()
) -> dict[str, str]:  # fmt: skip
    """Words of an address by their names; empty where one is not there.

    `others` are names that the page reads by itself.

    Raises
    ------
    TruenessError
        With the code ``query`` if any is too long, or of a name that the page does not know.
    """
    known = [*names, *others]
    for name in params:
        if name not in known:
            raise TruenessError(f"this page is not asked for {name[:40]!r}; {nearest(name, known)}",
                                "query")  # fmt: skip
    if any(len(value) > LONGEST for value in params.values()):
        raise TruenessError(f"a word of this address is longer than {LONGEST} letters", "query")
    return {name: params.get(name, "") for name in names}


def page_of(params: QueryParams) -> int:
    """Number of the page of an address.

    Raises
    ------
    TruenessError
        With the code ``query``.
    """
    page = params.get("page", "1")
    if not page.isdecimal() or len(page) > 6 or int(page) < 1:
        raise TruenessError(f"page {page[:20]!r}: a whole number from 1 on is needed", "query")
    return int(page)


def address_of(path: str, words: Mapping[str, str], page: int = 1) -> str:
    """Address of a page with the words that are not empty.

    Examples
    --------
    >>> address_of("/titles", {"language": "de", "group": ""}), address_of("/titles", {}, 2)
    ('/titles?language=de', '/titles?page=2')
    """
    pairs = [*((n, v) for n, v in words.items() if v), *([("page", page)] if page > 1 else [])]
    return f"{path}?{urlencode(pairs)}" if pairs else path
