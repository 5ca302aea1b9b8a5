"""Who may ask, and how: host names, tokens, other sites, methods; and what every answer says."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import socket
import time
from collections import deque
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "trueness"
GUESSES, GUESSES_OF_ALL, GUESSES_S = 10, 100, 60.0
"""Wrong tokens of one address, and of all, within so many seconds, before nobody is let in."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
"""Scripts come from files of the package alone; figures carry their own styles."""
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that binds to a host.

    Examples
    --------
    >>> is_loopback("localhost"), is_loopback("127.0.0.9"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


@dataclass
class Door:
    """What lets a client in.

    Attributes
    ----------
    host : str
        That the server binds to.
    token : str
        Needed in the first address; empty on the loopback.
    session : str
        What the cookie holds then.
    csrf : str
        Goes along with every form that changes something.
    """

    host: str
    token: str = ""
    session: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    _wrong: dict[str, deque[float]] = field(default_factory=dict)

    @classmethod
    def of(cls, host: str) -> Door:
        """Door of a host: with a token of 256 bits unless it is the loopback."""
        return cls(host, "" if is_loopback(host) else secrets.token_urlsafe(32))

    def knows_host(self, header: str) -> bool:
        """Whether a Host header names this server, and not a name that somebody points at it.

        An address of digits is no such name; of names, its own ones.
        """
        name = (urlsplit(f"//{header}").hostname or "").rstrip(".").lower()
        if name in LOOPBACK:
            return True
        if is_loopback(self.host):
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in (self.host.lower(), socket.gethostname().lower())
        return True

    def admits(self, token: str, secret: str, client: str) -> bool:
        """Whether a secret is right; a wrong one counts as a guess of its client."""
        if hmac.compare_digest(_digest(token), _digest(secret)):
            return True
        for who in (client, ""):
            self._wrong.setdefault(who, deque(maxlen=GUESSES_OF_ALL)).append(time.monotonic())
        return False

    def is_closed(self, client: str) -> bool:
        """Whether too many wrong secrets came, from a client or from all."""
        for who in [who for who, times in self._wrong.items() if _recent(times) == 0]:
            del self._wrong[who]
        return (
            _recent(self._wrong.get(client, ())) >= GUESSES
            or _recent(self._wrong.get("", ())) >= GUESSES_OF_ALL
        )

    def posts(self, token: str) -> bool:
        """Whether a form was made by this server."""
        return hmac.compare_digest(_digest(token), _digest(self.csrf))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _recent(times: deque[float] | tuple[()]) -> int:
    return sum(time.monotonic() - one < GUESSES_S for one in times)


class Guard:
    """Refuses what no reader of the workbench sends, and puts the headers on every answer.

    Parameters
    ----------
    app : ASGIApp
    door : Door
    """

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self.app, self.door = app, door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or hand on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(k.encode(), v.encode()) for k, v in HEADERS.items()]
                cached = any(name == b"cache-control" for name, _ in message["headers"])
                own += [] if cached else [(b"cache-control", b"no-store")]
                message["headers"] = [*message["headers"], *own]
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self.app)(scope, receive, sealed)

    def _refusal(self, scope: Scope) -> Response | None:
        """What is answered in place of a page; None to go on."""
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self.door.knows_host(hosts[0]):
            return _said("This address is not that of the workbench: use the one that was printed.",
                         421)  # fmt: skip
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return _said("The workbench answers GET and HEAD, and POST where it asks.", 405)
        if foreign(headers, scope["method"], hosts[0]):
            return _said("Refused: the request comes from another site.", 403)
        return self._unknown(scope, headers) if self.door.token else None

    def _unknown(self, scope: Scope, headers: Headers) -> Response | None:
        """Refusal of a client without a cookie; one with the right token gets it."""
        client = (scope.get("client") or ("",))[0]
        if self.door.is_closed(client):
            return _said("Too many wrong tokens; wait a minute.", 429)
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        token = dict(query).get("token")
        if token is not None:
            if not self.door.admits(token, self.door.token, client):
                return _said("Wrong token: use the address that `trueness serve` printed.", 401)
            rest = urlencode([(name, value) for name, value in query if name != "token"])
            return self._let_in(scope["path"], rest)
        cookie = _cookie(headers.get("cookie", ""))
        if not cookie:
            return _said("A token is needed: use the address that `trueness serve` printed.", 401)
        if not self.door.admits(cookie, self.door.session, client):
            return _said("The server was started anew: use the address that it printed.", 401)
        return None

    def _let_in(self, path: str, query: str) -> Response:
        """The same page without the token in its address, with a cookie."""
        place = "/" + path.lstrip("/\\")  # two slashes would lead to another host
        result = RedirectResponse(f"{place}?{query}" if query else place, 303)
        result.set_cookie(COOKIE, self.door.session, httponly=True, samesite="strict", path="/")
        return result


def foreign(headers: Headers, method: str, host: str) -> bool:
    """Whether another site sent a request: any of its posts, and whatever no reader clicked."""
    site, mode = headers.get("sec-fetch-site", ""), headers.get("sec-fetch-mode", "")
    if method == "POST":
        origin = headers.get("origin", "")
        return urlsplit(origin).netloc.lower() != host.lower() or site not in ("", "same-origin")
    return site in ("cross-site", "same-site") and mode != "navigate"


def _cookie(header: str) -> str:
    try:
        result = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return result.value if result else ""


def _said(text: str, status: int) -> Response:
    return Response(f"{text}\n", status, media_type="text/plain; charset=utf-8")
