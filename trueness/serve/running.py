"""Starting the server: a free port, the address to open, an end without a traceback."""

from __future__ import annotations

import socket
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path

from trueness.errors import StoreError, TruenessError, at_least, first_line
from trueness.places import StoreLocation
from trueness.serve.app import application
from trueness.serve.workbench import Workbench
from trueness.store import Store

MOST_PORT = 65_535
GRACE_S = 1
"""Seconds that open streams get when the server ends."""


def serve(
    root: StoreLocation, host: str, port: int, say: Callable[[str], None], *, opens: bool = False,
    bundles: Sequence[Path] = (),
) -> None:  # fmt: skip
    """Serve a store until somebody ends it.

    Parameters
    ----------
    root : Path or Address
        Of the store.
    host, port : str, int
        That the server binds to; port 0 takes a free one.
    say : callable
        Hears the address to open.
    opens : bool
        Whether a browser opens it.
    bundles : sequence of Path
        Folders of bundles that are shown.

    Raises
    ------
    TruenessError
        With the code ``port`` if the port is in use, ``host`` if the host is none of this machine.
    StoreError
        If the store is of another version, or with the code ``no_store`` if there is none, or
        if a folder holds no bundle.
    """
    import uvicorn

    from trueness.bundle.format import open_bundle

    made = Store(root).exists() or (isinstance(root, Path) and root.is_dir())
    if not made:
        raise StoreError(f"there is no store {root}; `trueness run CAMPAIGN --store {root}` makes "
                         "one, or give another --store", "no_store")  # fmt: skip
    for folder in bundles:
        open_bundle(folder)
    bench = Workbench.of(root, host, bundles)
    listener = bound(host, at_least("--port", port, 0, MOST_PORT))
    address = address_of(bench, listener.getsockname()[1])
    say(f"The workbench of {root} is at {address} (Ctrl-C ends it).")
    if opens:
        webbrowser.open(address)
    settings = uvicorn.Config(
        application(bench), log_level="error", access_log=False, server_header=False,
        timeout_graceful_shutdown=GRACE_S, h11_max_incomplete_event_size=64 * 1024,
    )  # fmt: skip
    uvicorn.Server(settings).run(sockets=[listener])


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises
    ------
    TruenessError
        With the code ``port`` or ``host``.
    """
    try:
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, UnicodeError):
        raise TruenessError(
            f"--host {host}: no such host; leave it out for this machine", "host"
        ) from None
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
        listener.listen(512)
    except OSError as error:
        listener.close()
        raise TruenessError(
            f"port {port} of {host} cannot be used ({first_line(error)}); give another --port, or "
            "0 for a free one",
            "port",
        ) from None
    return listener


def address_of(bench: Workbench, port: int) -> str:
    """Address to open; with the token, where one is needed."""
    host = bench.door.host
    shown = socket.gethostname() if host in ("0.0.0.0", "::", "") else host
    shown = f"[{shown}]" if ":" in shown else shown
    token = f"?token={bench.door.token}" if bench.door.token else ""
    return f"http://{shown}:{port}/{token}"
