"""Which redirects are made for a slash: they send the client to the same URL, but for slashes in its path.

Frameworks make them of their own accord (Starlette's ``redirect_slashes``, Flask's ``strict_slashes`` and
``merge_slashes``, Django's ``APPEND_SLASH``), do no work for them, and are asked again at once. A redirect of
the application's own leads elsewhere, or a route was found for it.
"""

from __future__ import annotations

from urllib.parse import SplitResult, unquote, unquote_to_bytes, urljoin, urlsplit

#: Statuses after which the client asks the same again.
AGAIN = (301, 307, 308)
FOUND = 302  # after it what was not GET becomes one: the way from a form that did its work to a page
STATUSES = frozenset((*AGAIN, FOUND))

_PORTS = {"http": ":80", "https": ":443"}


def is_for_a_slash(method: str, status: int, url: str, location: str) -> bool:
    """Whether a redirect sends the client to the same URL, but for slashes in its path.

    Args:
        method: the request's.
        status: the response's.
        url: what was asked for, absolute, with its query.
        location: the response's header; it may be relative.

    """
    if status not in AGAIN and not (status == FOUND and method in ("GET", "HEAD")):
        return False
    try:
        asked, told = urlsplit(url), urlsplit(location)
        if not told.path.startswith("/"):
            told = urlsplit(urljoin(url, location))
    except ValueError:  # no URL
        return False
    if told.fragment or unquote_to_bytes(told.query) != unquote_to_bytes(asked.query):
        return False
    scheme = told.scheme or asked.scheme
    if _origin(scheme, told.netloc or asked.netloc) != _origin(asked.scheme, asked.netloc):
        return False
    return _path(told) != _path(asked) and _parts(told) == _parts(asked)


def _origin(scheme: str, host: str) -> tuple[str, str]:
    scheme = scheme.lower()
    return scheme, host.lower().removesuffix(_PORTS.get(scheme, ":"))


def _path(url: SplitResult) -> str:
    return unquote(url.path) or "/"


def _parts(url: SplitResult) -> list[str]:
    return [part for part in _path(url).split("/") if part]
