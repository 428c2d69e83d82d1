"""The ASGI application: finds what a request is for, guards the limits, answers, counts.

Plain ASGI without a framework: to a request with one image, which takes about 100 microseconds, a
framework would add half as much again (figures in `docs/log.md`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any, final

from lenet.errors import LenetError
from lenet.serve import inference, pictures
from lenet.serve.answers import Answer, Headers, Refusal, busy, no_network, ok
from lenet.serve.description import describe
from lenet.serve.front import Front
from lenet.serve.guard import Guard
from lenet.serve.journal import Journal
from lenet.serve.limits import Limits
from lenet.serve.metrics import Metrics, Now, content_type, exposition
from lenet.serve.models import FEW, Models, Served
from lenet.serve.owner import Text
from lenet.serve.request import ClientGoneError, Receive, Request, Scope, linger, log_line
from lenet.serve.workers import Workers
from lenet.system.version import VERSION

Send = Callable[[dict[str, Any]], Awaitable[None]]

QUICK_BYTES = 32 << 10
"""A longer body is not parsed on the event loop; that of a few images is shorter."""

CLOSE = ((b"connection", b"close"),)
SAFE = ((b"x-content-type-options", b"nosniff"),)

UNKNOWN = "unknown"
"""The route in metrics of a path that there is not."""

GONE = "the handler is closed"
"""In what uvloop says of a client that has just left, before anybody is told."""

logger = logging.getLogger("lenet.serve")


Handler = Callable[[Request], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Route:
    """A path that there is: its name in the metrics, and who answers which method."""

    name: str
    handlers: Mapping[str, Handler]
    open: bool = False
    """Without a token and with any query, for the probes of an orchestrator."""
    reads_query: bool = False


@final
@dataclass(slots=True)
class Application:
    """`start` it on the event loop before the first request."""

    models: Models
    limits: Limits
    guard: Guard
    threads: int
    journal: Journal | None = None
    metrics: Metrics = field(default_factory=Metrics)
    connections: Callable[[], int] = lambda: 0
    gather: Callable[[Text], Awaitable[bytes]] = field(init=False)
    """What stands at /metrics, from what this process has counted."""
    draining: bool = False
    _workers: Workers = field(init=False)
    _pages: Front = field(default_factory=Front)
    _routes: dict[str, Route] = field(default_factory=dict)
    _bodies_bytes: int = 0
    _exposition: Text = field(init=False)

    def start(self) -> None:
        """Begin to work; raises `RuntimeError` outside of an event loop."""
        self._workers = Workers(self.threads, self.limits)
        self._exposition = exposition(self.metrics, self.now)
        self.find_routes()

    def close(self) -> None:
        self._workers.close()

    def count(self) -> bytes:
        """What this process has counted so far, as Prometheus reads it."""
        return self._exposition()

    def find_routes(self) -> None:
        """All paths, as of the networks and versions that are in service now."""
        routes = {
            "/": _get("/", self._front, reads_query=True),
            "/v2": _get("/v2", self._server),
            "/v2/health/live": _get("/v2/health/live", self._live, open_to_all=True),
            "/v2/health/ready": _get("/v2/health/ready", self._ready, open_to_all=True),
            "/metrics": _get("/metrics", self._metrics),
            "/openapi.json": _get("/openapi.json", self._description),
        }
        for name in self.models.names():
            versions = self.models.versions(name)
            routes |= self._of_model(f"/v2/models/{name}", versions, versions[-1])
            for each in versions:
                place = f"/v2/models/{name}/versions/{each.version}"
                routes |= self._of_model(place, versions, each, "/versions/{version}")
        self._routes = routes

    def _of_model(
        self, place: str, versions: list[Served], served: Served, named: str = ""
    ) -> dict[str, Route]:
        name = f"/v2/models/{{model}}{named}"
        return {
            place: _get(name, partial(self._model, versions)),
            f"{place}/ready": _get(f"{name}/ready", partial(self._model_ready, served)),
            f"{place}/infer": Route(f"{name}/infer", {"POST": partial(self._infer, served)}),
            f"{place}/predict": Route(
                f"{name}/predict", {"POST": partial(self._predict, served)}, reads_query=True
            ),
        }

    def now(self) -> Now:
        """What the metrics say beside what they count."""
        newest = self.models.newest()
        return Now(
            classes={each.name: each.class_names for each in newest},
            versions={each.name: each.version for each in newest},
            queue=self._workers.pending,
            bodies_bytes=self._bodies_bytes,
            connections=self.connections(),
            ready=not self.draining,
            reloads=self.models.reloads,
            failures=self.models.failures,
            lost_lines=0 if self.journal is None else self.journal.lost,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        begun = time.perf_counter()
        request = Request.of(scope, receive)
        route = self._routes.get(request.path)
        try:
            answer = await self._answer_always(request, route)
            await self._send(request, answer, send)
        except ClientGoneError:
            self.metrics.dropped["client gone"] += 1
            return
        except RuntimeError as error:
            if GONE not in str(error):
                raise
            self.metrics.dropped["client gone"] += 1
            return
        finally:
            self._bodies_bytes -= request.size
        seconds = time.perf_counter() - begun
        self.metrics.count(UNKNOWN if route is None else route.name, answer.status, seconds)
        if answer.seen is not None:
            self.metrics.see(answer.seen)
        if self.journal is not None:
            self.journal.add(log_line(request, answer, seconds))

    async def _answer_always(self, request: Request, route: Route | None) -> Answer:
        """The answer, also where there is none: with the reason."""
        try:
            return await self._answer(request, route)
        except Refusal as refusal:
            return refusal.answer()
        except LenetError as error:
            return Refusal(422, str(error)).answer()
        except MemoryError:
            return busy("there is not enough memory for this now", 503).answer()
        except ClientGoneError:
            raise
        except Exception as error:  # a fault of ours must not end without an answer
            if GONE in str(error):
                raise
            logger.exception("a fault in lenet serve, at %s %s", request.method, request.path)
            return Refusal(500, "a fault in lenet serve; its log says more").answer()

    async def _answer(self, request: Request, route: Route | None) -> Answer:
        headers = request.headers
        host = headers.get(b"host")
        if request.hosts > 1:  # RFC 9112, section 3.2; a proxy may have checked another one
            raise Refusal(400, "a request has one Host")
        if host is not None:
            self.guard.check_host(host)
        elif request.version == "1.1":
            raise Refusal(400, "a request of HTTP/1.1 has a Host")
        if self.guard.origins and request.method == "OPTIONS":
            allowed = self.guard.preflight(headers.get(b"origin", b""))
            if allowed is not None:
                return allowed
        if route is None or not route.open:
            self.guard.check_token(headers.get(b"authorization", b""))
        if route is None:
            raise Refusal(404, self._missing(request.path))
        handler = route.handlers.get(request.method)
        if handler is None:
            allow = ", ".join(route.handlers).encode()
            raise Refusal(405, f"{route.name} knows {allow.decode()}", ((b"allow", allow),))
        if request.query and not (route.open or route.reads_query):
            raise Refusal(422, f"{route.name} knows no query: end its address before the ?")
        return await handler(request)

    def _missing(self, path: str) -> str:
        words = path.split("/")
        if words[:3] == ["", "v2", "models"] and len(words) > 3:
            versions = self.models.versions(words[3])
            if not versions:
                return no_network(self.models.names())
            if words[4:5] == ["versions"]:
                known = ", ".join(each.version for each in versions)
                return f"{words[3]} has no such version, or nothing there; there are {known}"
        return "nothing is here; see /openapi.json"

    async def _send(self, request: Request, answer: Answer, send: Send) -> None:
        about_body: Headers = (
            (b"content-type", answer.content_type),
            (b"content-length", str(len(answer.body)).encode()),
        )
        headers = [
            *(() if answer.status == HTTPStatus.NO_CONTENT else about_body),
            *SAFE,
            *answer.headers,
            *self._more_headers(request),
        ]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        unread = request.has_body and not request.waits
        await send({"type": "http.response.body", "body": answer.body, "more_body": unread})
        if unread:
            await linger(request)
            await send({"type": "http.response.body", "body": b""})

    def _more_headers(self, request: Request) -> Headers:
        headers: Headers = CLOSE if self.draining or request.has_body else ()
        if self.guard.origins:
            headers += self.guard.headers(request.headers.get(b"origin", b""))
        return headers

    async def _front(self, request: Request) -> Answer:
        return await self._workers.run(
            partial(self._pages.page, self.models.newest(), request.query)
        )

    async def _server(self, _request: Request) -> Answer:
        return ok({"name": "lenet", "version": VERSION, "extensions": ["binary_tensor_data"]})

    async def _live(self, _request: Request) -> Answer:
        if self._workers.is_stuck():
            raise Refusal(503, "a piece of work does not end; start this service again")
        return ok({"live": True})

    async def _ready(self, _request: Request) -> Answer:
        self._refuse_when_draining()
        return ok({"live": True, "ready": True})

    def _refuse_when_draining(self) -> None:
        if self.draining:
            raise busy("this service is about to end", 503)

    async def _metrics(self, _request: Request) -> Answer:
        return Answer(200, await self.gather(self.count), content_type())

    async def _description(self, _request: Request) -> Answer:
        return ok(describe(self.models.newest(), with_token=self.guard.token is not None))

    async def _model(self, versions: list[Served], _request: Request) -> Answer:
        return ok(inference.metadata(versions))

    async def _model_ready(self, served: Served, _request: Request) -> Answer:
        self._refuse_when_draining()
        return ok({"name": served.name, "ready": True})

    async def _infer(self, served: Served, request: Request) -> Answer:
        kind = request.content_type.partition(";")[0].strip().lower()
        if kind not in ("", "application/json", "application/octet-stream"):
            raise Refusal(415, f"{kind[:60]}: infer takes application/json, also before tensors")
        body = await self._read_body(request)
        head_length = request.headers.get(inference.HEAD_LENGTH)
        if len(body) > QUICK_BYTES:
            return await self._workers.run(partial(self._infer_aside, served, body, head_length))
        question = inference.read_question(body, head_length, served.shape, self.limits)
        if served.quick is not None and len(question.images) <= FEW:
            return inference.answer(served, served.quick, question)
        work = partial(inference.answer, served, served.engine, question)
        return await self._workers.run(work)

    def _infer_aside(self, served: Served, body: bytes, head_length: bytes | None) -> Answer:
        question = inference.read_question(body, head_length, served.shape, self.limits)
        return inference.answer(served, served.engine, question)

    async def _predict(self, served: Served, request: Request) -> Answer:
        boundary = pictures.check_type(request.content_type)
        wanted = pictures.read_wanted(request.query, len(served.class_names))
        body = await self._read_body(request)
        work = partial(_predict_aside, served, body, boundary, wanted, self.limits)
        return await self._workers.run(work)

    async def _read_body(self, request: Request) -> bytes:
        """The whole body, as long as it is within the limits.

        Raises:
            Refusal: 413 or 415 (encoded), 429 where too much is at hand already.
            ClientGoneError: if the client is gone.
        """
        encoding = request.headers.get(b"content-encoding", b"identity")
        if encoding.strip().lower() != b"identity":
            raise Refusal(415, "send the body as it is, without Content-Encoding")
        most = self.limits.body_bytes
        if int(request.headers.get(b"content-length", b"0")) > most:
            raise _too_long(most)
        request.waits = False
        pieces: list[bytes] = []
        while True:
            message = await request.receive()
            if message["type"] == "http.disconnect":
                request.has_body = False
                raise ClientGoneError
            piece = message["body"]
            request.size += len(piece)
            self._bodies_bytes += len(piece)
            request.has_body = message["more_body"]
            if request.size > most:
                raise _too_long(most)
            if self._bodies_bytes > self.limits.bodies_bytes:
                raise busy("too many bytes of requests are at hand; come again later")
            if not request.has_body:
                return b"".join((*pieces, piece)) if pieces else piece
            pieces.append(piece)


def _predict_aside(
    served: Served, body: bytes, boundary: str, wanted: pictures.Wanted, limits: Limits
) -> Answer:
    files = pictures.read_files(body, boundary, limits)
    return pictures.predict(served, files, wanted, limits)


def _get(
    name: str, handler: Handler, *, open_to_all: bool = False, reads_query: bool = False
) -> Route:
    return Route(name, {"GET": handler, "HEAD": handler}, open_to_all, reads_query)


def _too_long(most: int) -> Refusal:
    return Refusal(413, f"the body of a request has at most {most:,} bytes")
