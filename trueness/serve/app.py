"""Addresses of the workbench, and what answers each; refusals are pages too."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable
from functools import cache
from hashlib import sha256
from http import HTTPStatus
from importlib.resources import files

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from trueness.document import Document, Link, Sentence
from trueness.errors import TruenessError
from trueness.report.html import static, style_sheet, to_html
from trueness.report.interactive import Site
from trueness.serve.guard import Guard
from trueness.serve.pages.board import board
from trueness.serve.pages.bundles import bundle_page, bundle_places, bundles_page
from trueness.serve.pages.compare import compare_page
from trueness.serve.pages.features import features_page
from trueness.serve.pages.home import home, places
from trueness.serve.pages.prices import prices_page
from trueness.serve.pages.run import (
    file,
    files_page,
    opened_page,
    posted,
    run_page,
    thresholds_page,
)
from trueness.serve.pages.studies import studies_page
from trueness.serve.pages.texts import text_page, texts_page
from trueness.serve.pages.titles import titles_page
from trueness.serve.pages.training import running_page, running_places
from trueness.serve.shelf import Reading
from trueness.serve.workbench import Page, Workbench

LINKS = tuple(
    Link(name, "/" if name == "Home" else f"/{name.lower()}")
    for name in ("Home", "Leaderboard", "Titles", "Features", "Studies", "Bundles")
)
"""Pages that each page leads to."""
STATUS = {"no_run": 404, "no_page": 404, "sealed": 403, "too_many": 503, "damaged": 500,
          "store_version": 500, "store": 500}  # fmt: skip
"""Code of a refusal -> status of its page; 400 for the others."""
STATIC = {
    "page.js": "text/javascript", "site.js": "text/javascript", "site.css": "text/css",
    "icon.svg": "image/svg+xml", "plotly-basic.min.js": "text/javascript",
}  # fmt: skip
"""Files of the package that are served -> their type."""
DAY_S = 86_400

Make = Callable[[Workbench, Request], Page]


def application(bench: Workbench) -> ASGIApp:
    """The server of a workbench; nothing of it is answered but through the guard."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        del app
        with contextlib.suppress(TruenessError):
            await run_in_threadpool(bench.shelf.current_view)
        yield
        bench.answers.close()
        bench.tables.close()

    routes = [
        *(Route(path, _page(bench, make), methods=["GET"]) for path, make in PAGES.items()),
        Route("/run/{key}/files/{name}", lambda request: file(bench, request), methods=["GET"]),
        Route("/run/{key}/open", _opened(bench), methods=["POST"]),
        Route("/events/running/{key}", _events(bench, running_places), methods=["GET"]),
        Route("/events/bundles/{number}", _events(bench, bundle_places), methods=["GET"]),
        Route("/events/home", _events(bench, places), methods=["GET"]),
        Route("/static/{name}", _static, methods=["GET"]),
    ]
    handlers = {
        TruenessError: _refused(bench), HTTPException: _no_page(bench), Exception: _broken(bench),
    }  # fmt: skip
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)
    return Guard(app, bench.door)


PAGES: dict[str, Make] = {
    "/": lambda bench, request: home(bench),
    "/leaderboard": board,
    "/compare": compare_page,
    "/titles": titles_page,
    "/features": features_page,
    "/run/{key}/prices": prices_page,
    "/run/{key}/texts": texts_page,
    "/run/{key}/text": text_page,
    "/studies": studies_page,
    "/bundles": bundles_page,
    "/bundles/{number}": bundle_page,
    "/running/{key}": running_page,
    "/run/{key}": run_page,
    "/run/{key}/thresholds": thresholds_page,
    "/run/{key}/files": files_page,
}
"""Address -> what makes its page."""


# ---------------------------------------------------------------------------------------- answers


def rendered(bench: Workbench, page: Page, path: str) -> Response:
    """A page as HTML."""
    here = next((one.target for one in LINKS[1:] if path.startswith(one.target)), "")
    site = Site(
        LINKS, "/" if path == "/" else here, page.command, bench.door.csrf, page.waits,
        page.events, _version(),
    )  # fmt: skip
    return HTMLResponse(to_html(page.document, site), page.status)


def _page(bench: Workbench, make: Make) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        return rendered(bench, make(bench, request), request.url.path)

    return answer


def _refused(bench: Workbench) -> Callable[[Request, Exception], Response]:
    """A refusal of the package as a page: its one line."""

    def answer(request: Request, error: Exception) -> Response:
        assert isinstance(error, TruenessError)
        waits = isinstance(error, Reading)
        title = "One moment" if waits else "This cannot be shown"
        text = f"{error}"
        said = Sentence(f"{text[:1].upper()}{text[1:]}", "note" if waits else "error")
        status = 200 if waits else STATUS.get(error.code, 400)
        page = Page(Document(title, [said]), waits=waits, status=status)
        return rendered(bench, page, request.url.path)

    return answer


def _no_page(bench: Workbench) -> Callable[[Request, Exception], Response]:
    def answer(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 400
        text = "There is no such page." if status == 404 else HTTPStatus(status).phrase
        document = Document("Not here", [Sentence(text, "error")])
        return rendered(bench, Page(document, status=status), request.url.path)

    return answer


def _broken(bench: Workbench) -> Callable[[Request, Exception], Response]:
    """What nobody expected: a page with the first line of it, and the traceback on the terminal."""

    def answer(request: Request, error: Exception) -> Response:
        text = f"A fault of the workbench: {type(error).__name__}. The terminal shows more."
        document = Document("This went wrong", [Sentence(text, "error")])
        return rendered(bench, Page(document, status=500), request.url.path)

    return answer


def _opened(bench: Workbench) -> Callable[..., object]:
    async def answer(request: Request) -> Response:
        form, key = await posted(request), request.path_params["key"]
        page = await run_in_threadpool(opened_page, bench, key, form)
        return rendered(bench, page, request.url.path)

    return answer


def _events(bench: Workbench, make: Callable[..., dict[str, str]]) -> Callable[..., object]:
    async def answer(request: Request) -> Response:
        bench.events.check()
        args = request.path_params.values()
        stream = bench.events.listen(request.url.path, lambda: make(bench, *args))
        return StreamingResponse(stream, media_type="text/event-stream")

    return answer


def _static(request: Request) -> Response:
    """A file of the package, by its name in a table."""
    name = request.path_params["name"]
    if name not in STATIC:
        raise HTTPException(404)
    headers = {"cache-control": f"max-age={DAY_S}, immutable" if request.url.query else "no-cache"}
    return Response(_content(name), media_type=STATIC[name], headers=headers)


@cache
def _content(name: str) -> bytes:
    if name == "site.css":
        return f"{style_sheet()}\n{_own('site.css').decode()}".encode()
    return _own(name) if name in ("site.js", "icon.svg") else static(name)


def _own(name: str) -> bytes:
    return files("trueness.serve").joinpath(f"static/{name}").read_bytes()


@cache
def _version() -> str:
    """Changes with what is served to every page."""
    every = b"".join(_content(name) for name in ("page.js", "site.js", "site.css"))
    return sha256(every).hexdigest()[:12]
