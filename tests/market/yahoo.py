"""A server that answers like Yahoo's chart endpoint, reached as the real one is: TLS by a proxy.

Clients are told of it by the environment (HTTPS_PROXY, REQUESTS_CA_BUNDLE), as a company's proxy would
be; nothing of the client is replaced. What it answers is written from the published form of the
endpoints (fc.yahoo.com, v1/test/getcrumb, v8/finance/chart).
"""

import contextlib
import json
import ssl
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import trustme

HOSTS = ("fc.yahoo.com", "query1.finance.yahoo.com", "query2.finance.yahoo.com",
         "guce.yahoo.com", "consent.yahoo.com", "finance.yahoo.com")  # fmt: skip
CRUMB, ZONE = "aB3.cD4eF5g", ZoneInfo("America/New_York")
NOT_FOUND = {"code": "Not Found", "description": "No data found, symbol may be delisted"}


@dataclass
class Series:
    """Bars of a ticker: split-adjusted prices as Yahoo keeps them, and its events."""

    rows: list  # (date, open, high, low, close, adjclose, volume), None where Yahoo has null
    dividends: dict = field(default_factory=dict)
    splits: dict = field(default_factory=dict)


@dataclass
class Yahoo:
    """What it knows, how it misbehaves, and what it was asked.

    `mood` is the name of a way to answer charts: "fine", "limited" (429), "html", "empty" (a result
    without bars), "broken" (500), "cut" (closes the connection), "null" (no result).
    """

    series: dict
    mood: str = "fine"
    crumbs: bool = True
    asked: list = field(default_factory=list)

    def answer(self, host, path, cookie):
        """(status, type, body, headers) of a request."""
        url = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.asked.append((host, url.path, query, cookie))
        if host == "fc.yahoo.com":
            return 404, "text/html", "", {"Set-Cookie": "A3=d=AQABB; Domain=.yahoo.com; Path=/; "
                                          "Expires=Fri, 31 Dec 2027 23:59:59 GMT; Secure"}  # fmt: skip
        if url.path == "/v1/test/getcrumb":
            if not self.crumbs or "A3=" not in cookie:
                return 429, "text/plain", "Too Many Requests\r\n", {}
            return 200, "text/plain", CRUMB, {}
        if url.path.startswith("/v8/finance/chart/"):
            return self._chart(url.path.rpartition("/")[2], query)
        return (
            404,
            "application/json",
            json.dumps({"finance": {"result": None, "error": NOT_FOUND}}),
            {},
        )

    def _chart(self, ticker, query):
        if self.mood == "limited":
            return 429, "text/plain", "Too Many Requests\r\n", {}
        if self.mood == "html":
            return 200, "text/html", "<!DOCTYPE html><html><body>Yahoo</body></html>", {}
        if self.mood == "broken":
            return 500, "application/json", '{"chart":', {}
        one = self.series.get(ticker.replace("%5E", "^"))
        if one is None:
            return (
                404,
                "application/json",
                json.dumps({"chart": {"result": None, "error": NOT_FOUND}}),
                {},
            )
        if self.mood == "null" and "period1" in query:
            return (
                200,
                "application/json",
                json.dumps({"chart": {"result": None, "error": None}}),
                {},
            )
        return 200, "application/json", json.dumps(self._result(ticker, one, query)), {}

    def _result(self, ticker, one, query):
        first = int(query.get("period1", 0))
        last = int(query.get("period2", 2**40))
        rows = [row for row in one.rows if first <= _opening(row[0]) < last]
        rows = [] if self.mood == "empty" else rows
        meta = {
            "currency": "USD", "symbol": ticker, "exchangeName": "PCX", "instrumentType": "EQUITY",
            "firstTradeDate": 728317800, "regularMarketTime": int(time.time()) - 86_400 * 4,
            "gmtoffset": -18000, "timezone": "EST", "exchangeTimezoneName": "America/New_York",
            "priceHint": 2, "dataGranularity": "1d", "range": "",
            "validRanges": ["1d", "5d", "1mo", "max"],
        }  # fmt: skip
        quote, adjusted = {}, {}
        if rows:
            names = ("open", "high", "low", "close")
            quote = {name: [row[i] for row in rows] for i, name in enumerate(names, 1)}
            quote["volume"] = [row[6] for row in rows]
            adjusted = {"adjclose": [row[5] for row in rows]}
        result = {"meta": meta, "indicators": {"quote": [quote], "adjclose": [adjusted]}}
        if rows:
            result["timestamp"] = [_opening(row[0]) for row in rows]
        events = {
            "dividends": {str(_opening(day)): {"amount": amount, "date": _opening(day)}
                          for day, amount in one.dividends.items()},
            "splits": {str(_opening(day)): {"date": _opening(day), "numerator": of, "denominator": by,
                                            "splitRatio": f"{of}:{by}"}
                       for day, (of, by) in one.splits.items()},
        }  # fmt: skip
        if rows and any(events.values()):
            result["events"] = {name: actual for name, actual in events.items() if actual}
        return {"chart": {"result": [result], "error": None}}


def _opening(day: date) -> int:
    """Seconds since 1970 of the opening of the exchange on a day."""
    return int(
        datetime(day.year, day.month, day.day, 9, 30, tzinfo=ZONE).astimezone(UTC).timestamp()
    )


@contextlib.contextmanager
def served(yahoo, folder):
    """Variables of an environment in which Yahoo is this server."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*HOSTS).configure_cert(context)
    bundle = folder / "authority.pem"
    authority.cert_pem.write_to_path(bundle)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_CONNECT(self):
            self.host = self.path.partition(":")[0]
            self.send_response(200)
            self.end_headers()
            self.connection = context.wrap_socket(self.connection, server_side=True)
            self.rfile, self.wfile = (self.connection.makefile(mode) for mode in ("rb", "wb"))
            self.close_connection = False

        def do_GET(self):
            if yahoo.mood == "cut" and "/chart/" in self.path:
                self.close_connection = True
                return
            status, kind, body, more = yahoo.answer(
                self.host, self.path, self.headers.get("Cookie", "")
            )
            content = body.encode()
            self.send_response(status)
            for name, value in {
                "Content-Type": kind,
                "Content-Length": len(content),
                **more,
            }.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(content)
            self.wfile.flush()

        do_POST = do_GET

        def finish(self):
            with contextlib.suppress(OSError, ValueError):  # the client may be gone
                super().finish()
            self.connection.close()

        def log_message(self, *words):
            del words

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # clients hang up in the middle
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield {"HTTPS_PROXY": f"http://127.0.0.1:{server.server_port}",
               "REQUESTS_CA_BUNDLE": str(bundle)}  # fmt: skip
    finally:
        server.shutdown()
        server.server_close()
