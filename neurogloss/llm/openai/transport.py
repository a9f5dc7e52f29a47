"""One request over HTTP, and what came back, read into memory up to a limit: bytes in, an answer or a fault out, never an exception.

aiohttp alone: the models and layers of a client library cost more processor time than the sending, and swallow what a server really said.
"""

import asyncio
import json
import ssl
import urllib.request
import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import certifi

from neurogloss.config import environment
from neurogloss.config.models import ModelParams
from neurogloss.llm.openai.alignment import MisalignedError
from neurogloss.llm.openai.bodies import MalformedError, answer, body, sound
from neurogloss.llm.openai.capabilities import KnownCapabilities
from neurogloss.llm.openai.driver import Attempt
from neurogloss.llm.openai.endpoint import Endpoint
from neurogloss.llm.openai.faults import Fault, fault
from neurogloss.llm.openai.forms import Forms, reshaped
from neurogloss.llm.openai.notices import Notices
from neurogloss.llm.request import Request

CONNECT_S = 10.0
HEADER_BYTES = 1 << 18
"""Of one header field: a cookie of 9 kB is no reason to lose an answer."""
ROOM_BYTES = 4_000_000
"""An answer may have, beside what its log-probabilities take."""
ALTERNATIVE_BYTES = 200
"""That one alternative of one token takes at most, as vLLM writes it."""


class TooLargeError(Exception):
    """An answer larger than any to this request can be."""


class Raw(NamedTuple):
    """An answer over HTTP."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    """Decompressed."""


class Connection:
    """A pool of connections to one endpoint."""

    def __init__(self, model: ModelParams, place: Endpoint, known: KnownCapabilities) -> None:
        self.model = model
        self.place = place
        self.known = known
        self.notices = Notices(model.name)
        self.timeout_s = environment.answer_timeout_s()
        self.opened: aiohttp.ClientSession | None = None
        self.heard: Callable[[Mapping[str, str]], None] = lambda headers: None
        """Called with the headers of every answer."""

    def session(self) -> aiohttp.ClientSession:
        """The session, opened in the loop that uses it; no cookies, no redirects, no password file."""
        if self.opened is None:
            connector = aiohttp.TCPConnector(limit=0, ssl=context(self.place.base_url))
            headers = {
                "content-type": "application/json",
                "accept": "application/json",
                "accept-encoding": "gzip, deflate",
                "user-agent": "neurogloss",
                **self.place.headers,
            }
            self.opened = aiohttp.ClientSession(
                connector=connector,
                headers=headers,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
                auto_decompress=False,
                max_line_size=HEADER_BYTES,
                max_field_size=HEADER_BYTES,
                proxy=proxy(self.place.base_url),
            )
        return self.opened

    async def post(self, request: Request) -> Attempt:
        """Send one request once and read what comes back."""
        usual, forms = body(request, self.model), self.known.forms()
        try:
            # Of the whole answer: a trickle must end too.
            async with asyncio.timeout(self.timeout_s):
                raw = await self.send(reshaped(usual, forms), largest(request))
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError, OSError) as error:
            return broken(error, self.timeout_s)
        except Exception as error:  # noqa: BLE001  # whatever the transport makes of a malformed answer is a fault of this request alone
            return malformed(error)
        try:
            return self.read(request, raw, usual, forms)
        except Exception as error:  # noqa: BLE001  # as above: a depth or a number that no decoder takes
            return malformed(error)

    async def send(self, value: dict[str, Any], most: int) -> Raw:
        """The whole HTTP answer."""
        url = url_of(self.place.base_url, "/chat/completions" if "messages" in value else "/completions")
        data = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        async with self.session().post(url, data=data, allow_redirects=False) as response:
            content = await whole(response, most)
            content = decompressed(content, response.headers.get("content-encoding", ""), most)
            return Raw(response.status, response.headers, content)

    def read(self, request: Request, raw: Raw, usual: dict[str, Any], forms: Forms) -> Attempt:
        """What an answer means. One that holds a choice is an answer, whatever its headers say: it was paid for."""
        self.heard(raw.headers)
        text = self.place.without_secrets(text_of(raw.content, raw.headers))
        value = choices(text) if raw.status < 300 else None
        if value is None:
            problem = fault(raw.status, raw.headers, text) or Fault("retry", "the body has no answer")
            return Attempt(self.known.adapt(problem, usual, forms), maybe_paid=raw.status < 300)
        try:
            said = answer(request, value)
        except MalformedError as error:
            return Attempt(Fault("retry", str(error)), maybe_paid=True)
        except MisalignedError as error:
            return Attempt(Fault("stop", str(error)), maybe_paid=True)
        self.known.answered(usual, forms)
        self.notices.look(request, value)
        return Attempt(None, said)

    async def close(self) -> None:
        """Close all connections."""
        if self.opened is not None:
            await self.opened.close()


def url_of(base_url: str, path: str) -> str:
    """The address of a path of the API; a query of the address stays behind it.

    >>> url_of("http://localhost:8000/v1/", "/completions"), url_of("https://x/openai?api-version=1", "/completions")
    ('http://localhost:8000/v1/completions', 'https://x/openai/completions?api-version=1')
    """
    parts = urlsplit(base_url)
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/") + path, parts.query, ""))


def context(base_url: str) -> ssl.SSLContext | bool:
    """The certificates that this machine trusts, and the well-known ones where it has none."""
    if not base_url.startswith("https:"):
        return True
    found = ssl.create_default_context()
    if ssl.get_default_verify_paths().cafile is None:
        found.load_verify_locations(certifi.where())
    return found


def proxy(base_url: str) -> str | None:
    """The proxy that the environment names for this address."""
    parts = urlsplit(base_url)
    if urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    return urllib.request.getproxies().get(parts.scheme)


def largest(request: Request) -> int:
    """Bytes that an answer can have at most, by what it was asked for."""
    tokens = len(request.prompt) if request.echo else request.max_tokens
    return ROOM_BYTES + ALTERNATIVE_BYTES * (1 + request.top_logprobs) * tokens


async def whole(response: aiohttp.ClientResponse, most: int) -> bytes:
    """The body as it was sent; TooLargeError as soon as it is larger than allowed."""
    parts, size = [], 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > most:
            response.close()
            raise TooLargeError(f"more than {most:,} bytes")
        parts.append(part)
    return b"".join(parts)


def decompressed(content: bytes, encoding: str, most: int) -> bytes:
    """The body as it was meant; TooLargeError where it unfolds to more than allowed, ValueError where it ends early."""
    if encoding.strip().lower() not in ("gzip", "x-gzip", "deflate"):
        return content
    for window in (32 + zlib.MAX_WBITS, -zlib.MAX_WBITS):
        unpacking = zlib.decompressobj(window)
        try:
            found = unpacking.decompress(content, most)
        except zlib.error:
            continue
        if unpacking.unconsumed_tail:
            raise TooLargeError(f"more than {most:,} bytes, compressed")
        if not unpacking.eof:
            raise ValueError("the compressed body ends early")
        return found
    # Sent as it is, whatever the header says.
    return content


def text_of(content: bytes, headers: Mapping[str, str]) -> str:
    """The text of a body: UTF-8 as JSON must be, else what the header says, else what can be read of it."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        named = headers.get("content-type", "").lower().rpartition("charset=")[2].strip("\"' ;")
    # A name may be of something that is no text (hex) or too much for its decoder (idna).
    if named in (
        "latin-1",
        "iso-8859-1",
        "windows-1252",
        "cp1252",
        "utf-16",
        "utf-16-le",
        "utf-16-be",
        "shift_jis",
        "gbk",
        "gb18030",
        "euc-kr",
    ):
        return content.decode(named, errors="replace")
    return content.decode(errors="replace")


def choices(text: str) -> dict[str, Any] | None:
    """The JSON of a body that holds an answer; None for any other."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and value.get("choices") else None


def broken(error: BaseException, timeout_s: float) -> Attempt:
    """What a connection that gave no answer means."""
    if isinstance(error, aiohttp.ClientConnectorError | ConnectionRefusedError):
        return Attempt(Fault("retry", reason(getattr(error, "os_error", error))), unreachable=True)
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return Attempt(Fault("retry", f"no connection within {CONNECT_S:.0f} s"), unreachable=True)
    if isinstance(error, TimeoutError):
        return Attempt(Fault("retry", f"no answer within {timeout_s} s (NEUROGLOSS_TIMEOUT_S)"), maybe_paid=True, late=True)
    return Attempt(Fault("retry", f"the connection broke ({sound(reason(error))[:200]})"), maybe_paid=True)


def malformed(error: Exception) -> Attempt:
    """An answer that could not be read at all; it may have been paid for."""
    said = " ".join(sound(str(error)).split())[:200]
    return Attempt(Fault("retry", f"the answer is malformed ({type(error).__name__}: {said})"), maybe_paid=True)


def reason(error: BaseException) -> str:
    """What the operating system says, without its numbers."""
    number = getattr(error, "errno", None)
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    return str(getattr(error, "strerror", None) or error) if number is not None else str(error) or type(error).__name__
