"""What the doctor looks at, and what it says of it. Pure: what was found comes in, a line goes out."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from difflib import get_close_matches
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import attrs

from togai_shipper import ConfigurationError
from togai_shipper._config import Config, check_key

from .amounts import age, plural, size
from .inventory import ASIDE, OK, FileFacts

MAX_SKEW = 60.0  # seconds that a clock may differ from the server's; its Date has whole seconds, and travels
CERTIFICATE_ENDS = 14 * 86_400.0  # seconds before which nobody needs to be woken
LITTLE_SPACE = 64_000_000  # bytes, under which a spool is about to be full

KEY = "TOGAI_API_KEY"
_OPTIONS = {field.name: bool(field.metadata["read"]) for field in attrs.fields(Config)}


@attrs.frozen
class Check:
    """One line of the list.

    Attributes:
        level: how it is.
        name: what was looked at.
        found: what was found.
        advice: what to do about it; empty where it is ``ok``.

    """

    level: Literal["ok", "warn", "fail"]
    name: str
    found: str
    advice: str = ""


def has_failed(checks: Sequence[Check]) -> bool:
    """Whether anything is wrong, rather than odd."""
    return any(check.level == "fail" for check in checks)


# --- the environment --------------------------------------------------------------------------------------


def key(environ: Mapping[str, str]) -> Check:
    """Whether there is a key that can go into a header. It is never shown."""
    text = environ.get(KEY, "")
    if not text:
        advice = f"Set {KEY} to a secret key of Togai's; or see that your code gives api_key=."
        return Check("fail", "key", f"{KEY} is not set here", advice)
    try:
        check_key(text)
    except ConfigurationError as error:
        return Check(
            "fail", "key", str(error).replace("api_key: ", f"{KEY}: "), "Set it anew, without a line end."
        )
    return Check("ok", "key", f"{plural(len(text), 'character')}, from {KEY}")


def unknown_names(environ: Mapping[str, str]) -> Iterator[Check]:
    """Names that look like options, and are not read."""
    readable = [name for name, is_read in _OPTIONS.items() if is_read]
    for name in sorted(environ):
        option = name[6:].lower()
        if not name.upper().startswith("TOGAI_") or (option in readable and name.isupper()):
            continue
        if option in _OPTIONS and option not in readable:
            yield Check("warn", name, "cannot be set here, and is not read", f"Give {option}= in your code.")
            continue
        nearest = get_close_matches(option, readable, 1)
        advice = (
            f"Did you mean TOGAI_{nearest[0].upper()}?" if nearest else "Remove it, if it was meant for us."
        )
        yield Check("warn", name, "is no option, and is not read", advice)


def options(environ: Mapping[str, str], **given: Any) -> tuple[list[Check], Config]:
    """Each option that would be refused; and the options without those."""
    environ = {name: text for name, text in environ.items() if name != KEY}
    checks: list[Check] = []
    while True:
        try:
            config = Config.load(environ, api_key="-", **given)
        except ConfigurationError as error:
            name, _, why = str(error).partition(": ")
            checks.append(Check("fail", name, why, "The library refuses to start with it: correct it."))
            environ, given = _without(name, environ, given)
        else:
            break
    count = sum(bool(environ.get(f"TOGAI_{name.upper()}")) for name, is_read in _OPTIONS.items() if is_read)
    if not checks:
        checks.append(Check("ok", "options", f"{count or 'none'} set in the environment, none refused"))
    if not config.enabled:
        checks.append(Check("warn", "enabled", "is false: nothing is sent", "Unset TOGAI_ENABLED to send."))
    return checks, config


def _without(
    name: str, environ: dict[str, str], given: dict[str, Any]
) -> tuple[dict[str, str], dict[str, Any]]:
    """What is left without what was refused; of two that do not go together (``backoff_…``) without both."""
    if name in given:
        return environ, {other: value for other, value in given.items() if other != name}
    family = name if name in environ else f"TOGAI_{name.partition('_')[0].upper()}_"
    return {other: text for other, text in environ.items() if not other.startswith(family)}, given


# --- the line ---------------------------------------------------------------------------------------------


def certificate(found: Mapping[str, Any], now: float) -> Check:
    """Whether the server's certificate, which is valid, ends soon."""
    left = ssl.cert_time_to_seconds(str(found["notAfter"])) - now
    text = f"its certificate is valid for {age(left)} more"
    if left < CERTIFICATE_ENDS:
        return Check("warn", "TLS", text, "Whoever runs that server has to renew it before.")
    return Check("ok", "TLS", text)


def untrusted(error: Exception) -> Check:
    """No TLS with this server."""
    text = getattr(error, "verify_message", "") or str(error)
    advice = (
        "Is this the right base_url, and this machine's clock right? Is there a proxy that needs a\n"
        "certificate of its own (REQUESTS_CA_BUNDLE)?"
    )
    return Check("fail", "TLS", f"its certificate, or its TLS, is refused: {text}", advice)


def reply(status: int) -> Check:
    """Any answer but an error of the server's will do: there is nothing at the address that is asked."""
    if status == 429:  # noqa: PLR2004  too many requests
        return Check(
            "warn",
            "server",
            "answers 429: too many requests without a key",
            "Wait for 30 minutes before the next.",
        )
    if status >= 500:  # noqa: PLR2004  errors of the server's
        return Check(
            "warn", "server", f"answers {status}", "Events wait, and are sent when it is well again."
        )
    return Check("ok", "server", f"answers (with {status}, to a request without the key)")


def key_reply(status: int) -> Check:
    """What Togai makes of the key."""
    match status:
        case 200:
            return Check("ok", "key check", "Togai takes the key")
        case 401:
            return Check(
                "fail",
                "key check",
                "Togai refuses the key (401)",
                "Correct it before you try again: Togai allows an address 5 such requests in 30 minutes.",
            )
        case 403:
            advice = "It may be one that may only write. An event that is sent will show it."
            return Check("warn", "key check", "the key may not read events (403)", advice)
    return Check(
        "warn", "key check", f"Togai answers {status}, which says nothing of the key", "Try again later."
    )


def clock(date: str | None, now: float) -> Check:
    """Whether this machine's clock is the server's: Togai bills by it."""
    try:
        there = parsedate_to_datetime(date or "")
    except ValueError:
        return Check(
            "warn", "clock", "the server does not say what time it has", "Look at it yourself: date -u"
        )
    ahead = now - there.replace(tzinfo=there.tzinfo or timezone.utc).timestamp()
    if abs(ahead) <= MAX_SKEW:
        return Check("ok", "clock", f"within {max(int(abs(ahead)), 1)} s of the server's")
    utc = datetime.fromtimestamp(now, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
    return Check(
        "warn",
        "clock",
        f"{age(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} the server's: it is {utc} UTC here",
        "Set it (NTP): usage is billed by the time that this machine writes on events.",
    )


# --- the spool --------------------------------------------------------------------------------------------


def permissions(mode: int, owner: int, us: int, path: str) -> Iterator[Check]:
    """Whether it is its owner's alone, and whether that is us."""
    if mode & 0o077:
        yield Check(
            "warn",
            "spool mode",
            f"is {mode & 0o777:o}: others may look into it",
            f"It holds what customers are billed for: chmod 700 {path}",
        )
    else:
        yield Check("ok", "spool mode", f"is {mode & 0o777:o}")
    if owner != us:
        yield Check(
            "warn",
            "spool owner",
            f"is user {owner}, and you are user {us}",
            "Run this as the user that the application runs as: what it may do is what counts.",
        )


def space(free: int, used: int, bound: int) -> Check:
    """Whether there is room for what may come; ``bound`` is of what the spool may take."""
    wanted = max(bound - used, 0)
    text = f"{size(free)} free"
    if free < LITTLE_SPACE:
        return Check("fail", "disk", text, "Make room: what does not fit is kept in memory alone.")
    if free < wanted:
        advice = f"The spool may grow by {size(wanted)} (max_spool_bytes): make room, or lower the bound."
        return Check("warn", "disk", text, advice)
    return Check("ok", "disk", text)


def stranded(files: Sequence[FileFacts], base_url: str, directory: str) -> Iterator[Check]:
    """What waits, and will not go by itself."""
    usable = [facts for facts in files if facts.state == OK]
    pending = sum(facts.pending for facts in usable)
    alive = sum(facts.owner is not None for facts in files)
    dead = sum(sum(facts.dead.values()) for facts in usable)
    yield Check(
        "ok",
        "spool",
        f"{plural(pending, 'event')} pending, {plural(alive, 'living process', 'living processes')}",
    )
    orphans = [
        facts for facts in usable if facts.owner is None and facts.pending and facts.base_url == base_url
    ]
    if orphans:
        count = sum(facts.pending for facts in orphans)
        if alive:
            advice = "A living process takes them over within two minutes."
        else:
            advice = f"Start the application, or ship them: togai-shipper drain {directory}"
        yield Check("warn", "left behind", f"{plural(count, 'event')} of processes that are gone", advice)
    for url in sorted({facts.base_url for facts in usable if facts.pending} - {base_url}):
        count = sum(facts.pending for facts in usable if facts.base_url == url)
        yield Check(
            "warn",
            "stranded",
            f"{plural(count, 'event')} for {url or 'an unknown server'}",
            f"They are not sent to {base_url}: start an application with theirs, or drain them there.",
        )
    if dead:
        yield Check(
            "warn", "dead letters", f"{dead:,}", f"See why: togai-shipper spool ls --dead {directory}"
        )
    for facts in files:
        if facts.state == ASIDE:
            yield Check(
                "warn", "set aside", f"{facts.path.name}: {facts.why}", "Look into it, then remove it."
            )
        elif facts.state != OK:
            see = f"See: togai-shipper spool verify {directory}"
            yield Check("warn", facts.state, f"{facts.path.name}: {facts.why}", see)
