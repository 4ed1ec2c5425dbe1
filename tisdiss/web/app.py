"""The web application of `tisdiss demo`: one page, uploads, and the sounds of each depth.

Only pages of this server may use it: other hosts' names and other origins are refused, because any
page that is open in the same browser can send requests to this machine.
"""

from __future__ import annotations

import html
import json
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from tisdiss.records.files import package_text
from tisdiss.web.separations import Busy, Separation, Separations

HOSTS = ("127.0.0.1", "localhost")
MIB = 2**20
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; media-src blob:; img-src data:; frame-ancestors 'none'"
)


def application(separations: Separations, *, max_mib: int) -> Starlette:
    """The application; uploads have at most `max_mib` MiB."""
    page = _page(separations, max_mib)

    async def home(request: Request) -> Response:
        return HTMLResponse(page, headers={"Content-Security-Policy": _POLICY})

    async def upload(request: Request) -> Response:
        if not _is_ours(request):
            return _refused("requests of other pages are refused", 403)
        content = await _limited(request, max_mib * MIB)
        if content is None:
            return _refused(f"this file is larger than {max_mib} MiB, the limit of the page", 413)
        try:
            made = await run_in_threadpool(separations.add, content)
        except ValueError as error:
            return _refused(str(error), 422)
        except Busy as error:
            return _refused(str(error), 503)
        return JSONResponse(_state(made), status_code=201)

    def state(made: Separation, request: Request) -> Response:
        return JSONResponse(_state(made))

    def mixture(made: Separation, request: Request) -> Response:
        return _sound(made.mixture)

    def speaker(made: Separation, request: Request) -> Response:
        voices = made.speakers.get(request.path_params["depth"], [])
        number = request.path_params["number"]
        if not 1 <= number <= len(voices):
            return _refused("there is no such sound", 404)
        return _sound(voices[number - 1])

    Answer = Callable[[Separation, Request], Response]

    def kept(answer: Answer) -> Callable[[Request], Awaitable[Response]]:
        """The endpoint that answers for a separation which is still kept."""

        async def endpoint(request: Request) -> Response:
            made = separations.get(request.path_params["identity"])
            if made is None:
                return _refused("this recording is no longer kept: send it again", 404)
            return answer(made, request)

        return endpoint

    one = "/separations/{identity:str}"
    return Starlette(
        routes=[
            Route("/", home),
            Route("/separations", upload, methods=["POST"]),
            Route(one, kept(state)),
            Route(f"{one}/mixture.wav", kept(mixture)),
            Route(f"{one}/re{{depth:int}}/speaker{{number:int}}.wav", kept(speaker)),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(HOSTS))],
    )


def _state(made: Separation) -> dict[str, object]:
    """What the page shows of a separation."""
    ready = [depth for depth in made.depths if depth in made.speakers]
    return {
        "identity": made.identity,
        "seconds": made.seconds,
        "rate": made.rate,
        "note": made.note,
        "depths": made.depths,
        "ready": ready,
        "took": {depth: made.took[depth] for depth in ready},
        "error": made.error,
    }


def _is_ours(request: Request) -> bool:
    """Whether a request comes from this page, or from no page."""
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


async def _limited(request: Request, most: int) -> bytes | None:
    """The body of a request; None if it has more bytes."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            return None
        parts.append(part)
    return b"".join(parts)


def _refused(message: str, status: int) -> Response:
    return JSONResponse({"error": message}, status_code=status)


def _sound(content: bytes) -> Response:
    return Response(content, media_type="audio/wav", headers={"Cache-Control": "no-store"})


def _page(separations: Separations, max_mib: int) -> str:
    model = separations.separator.model.config
    about = {
        "name": model.name,
        "speakers": model.n_src,
        "rate": separations.separator.sample_rate,
        "trained": model.n_re,
        "max_seconds": separations.max_seconds,
        "max_mib": max_mib,
    }
    texts = {
        "{{name}}": html.escape(model.name),
        "{{style}}": package_text("sound/player.css") + package_text("web/page.css"),
        "{{about}}": json.dumps(about).replace("<", "\\u003c"),
        "{{script}}": package_text("sound/player.js") + package_text("web/page.js"),
    }
    page = package_text("web/page.html")
    for mark, text in texts.items():
        page = page.replace(mark, text)
    return page
