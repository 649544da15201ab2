"""http and https for references: urllib without its handlers for files, ftp and data."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPException
from typing import Any, Final

from artvc.errors import CommError
from artvc.sdk.references import Missing

_SCHEMES: Final = frozenset({"http", "https"})
_TIMEOUT: Final = 60.0


class _OnlyHttp(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https alone, and never from https to http."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:
        scheme = newurl.partition(":")[0].lower()
        if scheme not in _SCHEMES or (req.type == "https" and scheme != "https"):
            raise CommError(f"{req.full_url!r:.200} redirects to {newurl!r:.200}, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """urllib without its handlers for files, ftp and data."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _OnlyHttp(),
    ):
        opener.add_handler(handler)
    return opener


@contextmanager
def request(uri: str, method: str) -> Iterator[Any]:
    """Ask a server.

    Args:
        uri: http or https.
        method: HEAD or GET.

    Yields:
        the response: ``headers``, and ``read``.

    Raises:
        Missing: nothing is there.
        CommError: it can't be reached, answers otherwise, or redirects to where it must not.
    """
    asked = urllib.request.Request(uri, method=method, headers={"Accept-Encoding": "identity"})
    try:
        with closing(_opener().open(asked, timeout=_TIMEOUT)) as response:
            yield response
    except urllib.error.HTTPError as exc:
        exc.close()
        if exc.code in {404, 410}:
            raise Missing(f"{uri!r:.200} is not there (HTTP {exc.code})") from exc
        raise CommError(f"{uri!r:.200} answered with HTTP {exc.code}") from exc
    except (HTTPException, OSError) as exc:
        if isinstance(exc, CommError):
            raise
        hint = "pass checksum=False to note the URI without looking"
        raise CommError(f"cannot reach {uri!r:.200}: {getattr(exc, 'reason', exc)}", hint=hint) from exc
