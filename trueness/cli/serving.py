"""The verb that shows a store in a browser: serve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from trueness.cli.options import DEFAULT_STORE, Store_, StrictInt
from trueness.errors import TruenessError


def serve(
    *,
    store: Store_ = DEFAULT_STORE,
    port: StrictInt = 8765,
    host: str = "127.0.0.1",
    bundles: tuple[Path, ...] = (),
    opens: Annotated[bool, Parameter(name="--open", negative=())] = False,
) -> int:
    """Show a store in a browser: what runs, leaderboards, runs, comparisons. Needs the extra serve.

    Example: trueness serve --open

    Parameters
    ----------
    port
        Where it listens; 0 takes a free port.
    host
        Whom it answers: only this machine by default. With another host, the address that is
        printed holds a token, without which nobody is let in.
    bundles
        Folder of a bundle whose promise and answers are shown; repeatable.
    opens
        Also open it in a browser.
    """
    from importlib.util import find_spec

    from trueness.cli.output import console

    if find_spec("starlette") is None or find_spec("uvicorn") is None:
        raise TruenessError("the workbench needs pip install 'trueness[serve]'", "no_package")
    from trueness.serve.running import serve as served

    served(store, host, port, lambda text: console(err=True).print(
        text, highlight=False, soft_wrap=True), opens=opens, bundles=bundles)  # fmt: skip
    return 0
