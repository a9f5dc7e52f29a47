"""A server for one person: the same pages, made on demand, to this machine only."""

import asyncio
import errno
import json
import socket
import webbrowser
from collections.abc import Awaitable, Callable
from functools import lru_cache
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from neurogloss.errors import UserError
from neurogloss.viewer.live import analyse
from neurogloss.viewer.model import Model
from neurogloss.viewer.pages import Pages
from neurogloss.viewer.site import KINDS, assets

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types neurogloss",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
LONGEST = 1_000_000
"""Bytes of a request."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def application(pages: Pages, model: Model | None = None, hosts: tuple[str, ...] = ()) -> Starlette:
    """The pages, and the model for typed text, as an application that answers requests for `hosts` and for loopback names only."""
    files = dict(assets())
    made = lru_cache(maxsize=256)(pages.chunk)

    async def asset(request: Request) -> Response:
        name = request.path_params.get("name") or "index.html"
        if name not in files:
            return PlainTextResponse("there is no such page", 404)
        return Response(files[name], media_type=KINDS[name[name.rindex(".") :]])

    async def data(request: Request) -> Response:
        try:
            content = await run_in_threadpool(made, request.path_params["name"])
        except KeyError:
            return PlainTextResponse("there is no such part of the result", 404)
        return Response(content, media_type=KINDS[".js"])

    async def text(request: Request) -> Response:
        if model is None:
            return JSONResponse({"error": "this server runs without the model"}, 404)
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            return JSONResponse({"error": "the text must be sent as JSON"}, 415)
        typed = await typed_text(request)
        if typed is None:
            return JSONResponse({"error": f"expected a JSON object with a text, at most {LONGEST} bytes"}, 400)
        try:
            return JSONResponse(await run_in_threadpool(analyse, model, typed))
        except UserError as error:
            return JSONResponse({"error": str(error)})  # An answer to a person, not a failed request: browsers would log it.

    async def guard(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
        refusal = refused(request, (*LOOPBACK, *hosts))
        response = PlainTextResponse(refusal, 403) if refusal else await call(request)
        response.headers.update(HEADERS)
        return response

    routes = [Route("/", asset), Route("/data/{name:path}.js", data), Route("/api/text", text, methods=["POST"]), Route("/{name}", asset)]
    return Starlette(routes=routes, middleware=[Middleware(BaseHTTPMiddleware, dispatch=guard)])


async def typed_text(request: Request) -> str | None:
    """The text a page sends, None where the body is something else or too long."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LONGEST:
            return None
    try:
        sent = json.loads(body)
    except (ValueError, RecursionError):
        return None
    found = sent.get("text") if isinstance(sent, dict) else None
    return found.encode("utf-8", errors="replace").decode("utf-8") if isinstance(found, str) else None


def refused(request: Request, hosts: tuple[str, ...]) -> str | None:
    """Why a request is not answered: its Host or Origin is another's, or another site's page asks."""
    host = request.headers.get("host", "")
    if name_of(f"//{host}") not in hosts:
        return "this address is not served; open the one that was printed, or name it with --allow-host"
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != host:
        return "requests from other sites are refused"
    navigates = request.headers.get("sec-fetch-mode") == "navigate" and request.url.path == "/"
    if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and not navigates:
        return "requests from other sites are refused"
    return None


def name_of(address: str) -> str | None:
    """The host's name in an address, None where it is malformed."""
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


def listening(host: str, port: int) -> socket.socket:
    """A bound socket; raises UserError when the port is taken or the address is not this machine's."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise UserError(f"{host} is not an address of this machine: {error.strerror or error}") from error
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise UserError(f"port {port} is in use; choose another with --port, or --port 0 for any free one") from error
        raise UserError(f"cannot listen on {host} port {port}: {error.strerror or error}") from error
    return bound


def serve(app: Starlette, bound: socket.socket, open_browser: str | None) -> None:
    """Answer until interrupted; `open_browser` is the address to open once requests are answered."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", server_header=False))

    async def run() -> None:
        running = asyncio.create_task(server.serve(sockets=[bound]))
        while not server.started and not running.done():
            await asyncio.sleep(0.05)
        if open_browser and server.started:
            await asyncio.to_thread(webbrowser.open, open_browser)
        await running

    asyncio.run(run())
