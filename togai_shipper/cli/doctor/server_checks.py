"""Checks of the server: the way to it, its certificate, its reply, and its clock."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import requests

from togai_shipper._engine.verdict import date_of
from togai_shipper._option_values import shown_host
from togai_shipper.cli.formats import age, moment

from .check import Check
from .world import World

MAX_SKEW = 60.0  # seconds that our clock may differ from the server's Date, which takes time to get here
CERTIFICATE_ENDS = 14 * 86_400.0  # seconds; who has longer need not be warned


def reach(url: str, world: World) -> Iterator[Check]:
    """Check the way to the server, up to TLS, without a request; end at the first failure."""
    try:
        proxy = world.proxy_of(url)
        scheme, host, port = _place(proxy or url)
    except ValueError:  # its text may have the proxy's password
        advice = "Correct HTTPS_PROXY, HTTP_PROXY, ALL_PROXY or NO_PROXY."
        yield Check("fail", "proxy", "the environment names one that is no URL", advice)
        return
    told = shown_host(host)
    if proxy:
        yield Check("ok", "proxy", f"{told}:{port}, from the environment; the next checks are about it")
    try:
        found = world.addresses(host, port)
    except (OSError, UnicodeError) as error:
        advice = "Is the name right? Can this machine resolve other names?"
        why = error.strerror or error if isinstance(error, OSError) else "there can be no such name"
        yield Check("fail", "DNS", f"{told}: {why}", advice)
        return
    yield Check("ok", "DNS", f"{told} is {', '.join(found[:3])}{', ...' if len(found) > 3 else ''}")  # noqa: PLR2004  of many
    try:
        connection = world.connect(host, port)
    except OSError as error:
        advice = "Is the server running? Does a firewall block the way to it?"
        yield Check("fail", "TCP", f"{told}:{port}: {error.strerror or error}", advice)
        return
    with connection:
        yield Check("ok", "TCP", f"{told}:{port} accepts connections")
        if proxy:  # it hides the server's certificate
            return
        if scheme == "http":
            yield Check("ok", "TLS", "none: plain http")
            return
        try:
            yield certificate(world.handshake(connection, host), world.now())
        except (OSError, UnicodeError) as error:
            yield untrusted(error)


def _place(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of a URL; a proxy may be named without a scheme. Raises ``ValueError``."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if not parts.hostname:
        raise ValueError("no host")
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def answers(url: str, key: str | None, world: World) -> Iterator[Check]:
    """Check the reply to one request: HEAD / without a key, GET /events with one; neither is billed."""
    method, path = ("GET", "/events?pageSize=1") if key else ("HEAD", "/")
    try:
        answer = world.ask(method, url + path, key)
    except Exception as error:  # libraries of HTTP raise more than they say; their texts repeat the URL
        advice = "Try again; if that does not help, ask the server's operator."
        is_plain = isinstance(error, OSError) and not isinstance(error, requests.RequestException)
        why = str(error) if is_plain else type(error).__name__
        yield Check("fail", "server", f"no answer: {why}", advice)
        return
    yield key_reply(answer.status) if key else reply(answer.status)
    yield clock(answer.date, world.now())


# --- what each finding means ------------------------------------------------------------------------------


def certificate(found: Mapping[str, Any], now: float) -> Check:
    """Check how long the server's certificate, which is trusted, remains valid."""
    try:
        left = ssl.cert_time_to_seconds(str(found.get("notAfter"))) - now
    except ValueError:
        advice = "Ask the server's operator."
        return Check("warn", "TLS", "its certificate is trusted, and does not say until when", advice)
    text = f"its certificate is valid for another {age(left)}"
    if left < CERTIFICATE_ENDS:
        return Check("warn", "TLS", text, "The server's operator has to renew it before that.")
    return Check("ok", "TLS", text)


def untrusted(error: Exception) -> Check:
    """Report that TLS with this server has failed."""
    text = getattr(error, "verify_message", "") or str(error)
    advice = (
        "Is this the right base_url, and this machine's clock right? Is there a proxy that needs a\n"
        "certificate of its own (REQUESTS_CA_BUNDLE)?"
    )
    return Check("fail", "TLS", f"its certificate, or its TLS, is refused: {text}", advice)


def reply(status: int) -> Check:
    """Judge the reply to a request without a key: any will do, but for an error of the server."""
    if status == 429:  # noqa: PLR2004  too many requests
        return Check(
            "warn",
            "server",
            "answers 429: too many requests without a key",
            "Wait 30 minutes before the next request.",
        )
    if status >= 500:  # noqa: PLR2004  errors of the server's
        return Check("warn", "server", f"answers {status}", "Events wait, and are sent when it works again.")
    return Check("ok", "server", f"answers (with {status}, to a request without the key)")


def key_reply(status: int) -> Check:
    """Judge the reply to a request with the key."""
    match status:
        case 200:
            return Check("ok", "key check", "Togai accepts the key")
        case 401:
            return Check(
                "fail",
                "key check",
                "Togai refuses the key (401)",
                "Correct it before you try again: Togai allows an address 5 such requests in 30 minutes.",
            )
        case 403:
            advice = "It may be a key that can only send events. Send one to find out."
            return Check("warn", "key check", "the key may not read events (403)", advice)
    return Check(
        "warn", "key check", f"Togai answers {status}, which says nothing about the key", "Try again later."
    )


def clock(date: str | None, now: float) -> Check:
    """Compare this machine's clock with the server's: usage is billed by the time that we write."""
    there = date_of(date)
    if there is None:
        return Check(
            "warn",
            "clock",
            "the server does not send the time",
            "Check this machine's clock yourself: date -u",
        )
    ahead = now - there
    if abs(ahead) <= MAX_SKEW:
        return Check("ok", "clock", f"within {max(int(abs(ahead)), 1)} s of the server's")
    here, where = moment(int(now * 1000)), "ahead of" if ahead > 0 else "behind"
    return Check(
        "warn",
        "clock",
        f"{age(abs(ahead))} {where} the server's: it is {here} here",
        "Set it (NTP): usage is billed by the time that this machine gives to events.",
    )
