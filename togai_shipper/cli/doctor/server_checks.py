"""Checks of the server: the way to it, its certificate, its reply, and its clock."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import attrs

from togai_shipper._engine.transport import LOOK_UP
from togai_shipper._engine.verdict import date_of
from togai_shipper._option_values import shown_host
from togai_shipper.cli.formats import age, moment

from .check import Check
from .no_answer import no_answer, of_the_proxy, speaks_tls, untrusted
from .world import ServerReply, World

NOWHERE = "/togai-shipper-doctor"  # what no Togai has
_NO_BUNDLE = "REQUESTS_CA_BUNDLE, or CURL_CA_BUNDLE, names it: correct that, for the application too."
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
        if lacking := world.lacking():
            yield Check("fail", "TLS", lacking, _NO_BUNDLE)
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
    """Check the reply to one request, with a key or without one; neither is billed.

    Without one it asks for what Togai does not have: a look-up would be one of the few without a good key
    that Togai allows an address.
    """
    if url.startswith("https:") and (lacking := world.lacking()):  # a proxy was looked at until now
        yield Check("fail", "TLS", lacking, _NO_BUNDLE)
        return
    try:
        answer = world.ask(url + (LOOK_UP if key else NOWHERE), key)
    except Exception as error:  # libraries of HTTP raise more than they say
        yield no_answer(error, urlsplit(url).scheme, world.proxy_of(url))
        return
    yield key_reply(answer) if key else reply(answer)
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


def reply(answer: ServerReply) -> Check:
    """Judge the reply to a request without a key: any of Togai's will do, but for an error of its own."""
    if check := _not_togais(answer):
        return check
    if answer.status == 429:  # noqa: PLR2004  too many requests
        return Check(
            "warn",
            "server",
            "answers 429: too many requests without a key",
            "Wait 30 minutes before the next request.",
        )
    if answer.status >= 500:  # noqa: PLR2004  errors of the server's
        text = f"answers {answer.status}{answer.words}"
        return Check("warn", "server", text, "Events wait, and are sent when it works again.")
    return Check("ok", "server", f"answers (with {answer.status}, to a request without the key)")


def key_reply(answer: ServerReply) -> Check:
    """Judge the reply to a request with the key."""
    if check := _not_togais(answer):
        return attrs.evolve(check, level="fail", name="key check")
    match answer.status:
        case 200:
            return Check("ok", "key check", "Togai accepts the key")
        case 401:
            return Check(
                "fail",
                "key check",
                f"Togai refuses the key (401){answer.words}",
                "Correct it before you try again: Togai allows an address 5 such requests in 30 minutes.",
            )
        case 403:
            advice = "It may be a key that can only send events. Send one to find out."
            return Check("warn", "key check", f"the key may not read events (403){answer.words}", advice)
        case 404:
            advice = (
                "So it should be if none was sent yet. Else look at base_url: it may have a path too many."
            )
            return Check("warn", "key check", "no event is found (404)", advice)
    return Check(
        "warn",
        "key check",
        f"Togai answers {answer.status}{answer.words}, which says nothing about the key",
        "Try again later.",
    )


def _not_togais(answer: ServerReply) -> Check | None:
    """Report an answer of somebody else in Togai's place; ``None`` for one that may be Togai's."""
    if answer.status == 407:  # noqa: PLR2004  a proxy's
        return of_the_proxy(f"407{answer.words}")
    if 300 <= answer.status < 400:  # noqa: PLR2004  redirections
        text = f"answers {answer.status}: go to {answer.location or 'nowhere'}"
        advice = "No event is sent there. Is base_url right? A login page, or a proxy, may be in the way."
        return Check("fail", "server", text, advice)
    if answer.is_json:
        return None
    if "plain http" in answer.says.lower() or "http request to an https" in answer.says.lower():
        return speaks_tls()
    text = f"answers {answer.status} with a page that is not Togai's{answer.words}"
    if answer.status >= 500:  # noqa: PLR2004  a gateway's, that does not reach Togai
        return Check("warn", "server", text, "Events wait, and are sent when Togai is reached again.")
    advice = (
        "A proxy, a gateway or a login page may answer in Togai's place. Is base_url right?\n"
        "What does it say to the key? togai-shipper doctor --check-key"
    )
    return Check("warn", "server", text, advice)


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
