"""Alarms of a run on the prices that it was measured on."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from trueness.document import Document, Part
from trueness.document.texts import whole
from trueness.errors import TruenessError
from trueness.serve.workbench import Page, Workbench, shown
from trueness.store import Run


def prices_page(bench: Workbench, request: Request) -> Page:
    """What `trueness payoff` says of a run, with the picture of its prices.

    Raises
    ------
    TruenessError
        With the code ``no_page`` for a run on something else.
    """
    view = bench.shelf.current_view()
    run = view.run(request.path_params["key"])
    if not is_on_bars(run):
        raise TruenessError(f"the run {view.name(run.key)} is not about bars, so it has no prices",
                            "no_page")  # fmt: skip
    lost = bench.record(view, [run], "payoff")
    answer = bench.judge(view, ("prices", run.key), priced, run.key)
    parts = [*lost, *shown(answer, list, "What the alarms returned")]
    title = f"Prices and alarms of {view.name(run.key)} · {run.record['label']}"
    page = Page(Document(title, parts, run.key), bench.command("payoff", run.key),
                waits=answer.pending or answer.stale)  # fmt: skip
    return bench.show(view, page)


def is_on_bars(run: Run[Any]) -> bool:
    """Whether alarms of a run have prices."""
    return run.spec.task.kind == "market" and run.estimands.kind == "binary"


def priced(store: Any, key: str) -> list[Part]:  # noqa: ANN401 - any store
    """What `trueness payoff` says of a run.

    Raises
    ------
    TruenessError
        With the code ``own_code`` where its columns come from a file of code: nothing that a
        store names is run.
    """
    from trueness.bundle.payoff import payoff

    run = store.run(key)
    if run.record["data"].get("features"):
        raise TruenessError(f"{run.key} reads features of its own, and the workbench runs no code "
                            f"that a store names; `trueness payoff {run.key}` does",
                            "own_code")  # fmt: skip
    return whole(payoff(store, run.key, {}).document().parts)
