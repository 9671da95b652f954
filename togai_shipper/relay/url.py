"""A relay's URL: how it is recognised, checked, and shown without what is secret in it. Pure.

``redis://``, ``rediss://`` (TLS) or ``unix://`` (a socket on this machine), as redis-py reads them.
"""

from __future__ import annotations

import re
import traceback
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

from togai_shipper._engine.blanking import BLANK, passwords_of
from togai_shipper._secret import Secret
from togai_shipper.exceptions import ConfigurationError

_PACKAGE = str(Path(__file__).parent.parent)
DEFAULT_NAME = "togai"
_SCHEME = re.compile("(?i)(rediss?|unix)://")
_MOST_NAME = 100  # characters


def is_url(text: str) -> bool:
    """Tell whether ``text`` is meant as a relay's URL; a directory's name is not."""
    return _SCHEME.match(text) is not None


def checked_url(url: str) -> str:
    """Return ``url`` if it has all that is needed. Raises ``ConfigurationError``, which shows no secret."""
    scheme, mark, rest = url.partition("://")
    url = f"{scheme.lower()}{mark}{rest}"  # redis-py knows these alone
    if not is_url(url):
        raise ConfigurationError("relay: must be a URL that begins with redis://, rediss:// or unix://")
    try:
        parts = urlsplit(url)
        host, path, _ = parts.hostname, parts.path, parts.port
    except ValueError:  # its text may have a part of the password
        raise ConfigurationError(
            "relay: is no URL: the host, or the port, cannot be read;"
            " write / @ : # ? of a password as %2F %40 %3A %23 %3F"
        ) from None
    if parts.scheme == "unix":
        if len(path) < 2:  # noqa: PLR2004  more than the slash
            raise ConfigurationError("relay: a unix:// URL needs the path of a socket")
        return url
    if not host:
        raise ConfigurationError("relay: has no host")
    if not re.fullmatch("/?|/[0-9]{1,5}", path):
        raise ConfigurationError("relay: what follows the host must be the number of a database, or nothing")
    return url


def checked_name(name: str) -> str:
    """Return ``name`` if keys can be made of it. Raises ``ConfigurationError``."""
    if not 1 <= len(name) <= _MOST_NAME or not name.isprintable() or set(name) & set("{} "):
        raise ConfigurationError(
            f"relay_name: must have 1 to {_MOST_NAME} characters, without spaces and braces"
        )
    return name


def is_host_to_be_checked(url: str) -> bool:
    """Tell whether the certificate has to name the host: redis-py 5 asks that only of who wants it."""
    return url.startswith("rediss:") and "ssl_cert_reqs=none" not in url.lower()


def secrets_of(url: str) -> list[Secret[str]]:
    """Return what is secret in a relay's URL, in every way in which it may be written in a message."""
    userinfo, _, _ = url.partition("://")[2].rpartition("@")
    found = passwords_of([f"//{userinfo.replace('//', '/')}@"]) if userinfo else []
    for password in parse_qs(url.rpartition("?")[2]).get("password", ()):
        found += [Secret(password), Secret(quote(password, safe=""))]
    return found


def shown(url: str) -> str:
    """Return the URL for people: without user, password and options."""
    scheme, _, rest = url.partition("://")
    userinfo, mark, place = rest.rpartition("@")
    if "password=" in userinfo:  # an option with an @ in it: where the host ends is not clear
        return f"{scheme}://{BLANK}"
    return f"{scheme}://{BLANK + '@' if mark else ''}{place.partition('?')[0]}"


def without_text(error: BaseException) -> str:
    """Return what the application's code has raised, and where, without the text: it may hold a password.

    Nobody has told us what is secret there, and of a URL that cannot be read an error repeats any part.
    """
    kind, places = type(error).__name__, traceback.extract_tb(error.__traceback__)
    theirs = [place for place in places if not place.filename.startswith((_PACKAGE, "<frozen "))]
    where = [
        f"{Path(place.filename).name}:{place.lineno}" for place in theirs if place.name != "import_module"
    ]
    return f"{kind}{f' ({where[0]})' if where else ''}; its text is not shown, since it may hold a password"
