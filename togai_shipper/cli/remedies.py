"""What to type, and to do, about a ``last_error``, by its words. Pure; the first line that fits counts."""

from __future__ import annotations

FULL = "the buffer is full"
OLDEST_WAITS = "the oldest pending event waits"
SPOOL_FAILS = "the spool does not work"
# What is in the text, and then lines of the remedy: ``DIR`` stands for the spool, or for the relay's URL.
_REMEDIES: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("the way is slow",),
        "Bytes move, slowly: what else fills the way? For longer requests raise timeout=.",
        "Does the backlog shrink? togai-shipper top DIR",
    ),
    (
        ("nothing moves", "the request has gone", "bytes of a reply have come"),
        "It is connected, and gets no whole reply: Togai hangs, or a proxy does.",
        "Does it answer others? togai-shipper doctor --check-key; env | grep -i proxy",
    ),
    (
        ("no relay:", "Redis", "nothing was ever handed over", "the relay's names", "the relay is for"),
        "Events wait here until Redis takes them; mend what is said of it.",
        "What does it answer from here? togai-shipper doctor --relay redis://...",
    ),
    (
        ("the relay has format", "cannot be read by this version"),
        "A newer version has written them: update this one, and restart.",
        "See what is there: togai-shipper spool ls DIR",
    ),
    (
        ("may have been sent before",),
        "A clock is wrong, or Togai has not said what time it is: set the clock (NTP).",
        "What does Togai's say? date -u; togai-shipper doctor",
    ),
    (
        ("dead letters, and no room",),
        "Replay or purge what is dead; nothing more can leave.",
        "Why are they dead? togai-shipper spool dead DIR",
    ),
    (
        ("the relay has", "the relay answers", "has written to", "has put an entry"),
        "Is it drained, and who writes to it?",
        "togai-shipper doctor --relay redis://...",
    ),
    (
        (SPOOL_FAILS, "in a file that failed"),
        "Make room, or mount it to be written to: df -h DIR; df -i DIR; ls -ld DIR",
        "It is tried again by itself. What fails? togai-shipper doctor --spool DIR",
    ),
    (
        ("another program reads it",),
        "End that program, a backup or an sqlite3: fuser FILE",
        "Is the disk given back then? togai-shipper spool ls DIR",
    ),
    (
        ("not ours to send",),
        "They are for another base_url, or are another user's files.",
        "Which? togai-shipper spool ls DIR; ls -l DIR",
    ),
    (
        ("has other tables",),
        "Find out who put that file there, and move it elsewhere.",
        "Are the others sound? togai-shipper spool verify DIR",
    ),
    (
        ("Togai rejects every event that has", "the requests go into finding"),
        "Mend that account or schema, at Togai or in the code; what waits goes then.",
        "What does Togai say? togai-shipper spool dead --newer-than 1h DIR",
    ),
    (
        ("set aside:",),
        "Others get through. Raise the gateway's limit, or ask Togai; the log has its id.",
        "Look at it: togai-shipper spool show ID DIR",
    ),
    (
        ("has not returned for",),
        "A callback of the application hangs, and holds up all: py-spy dump --pid PID",
        "Do events go once it returns? togai-shipper top DIR",
    ),
    (
        ("can be started",),
        "It has no thread to spare: raise pids.max, or ulimit -u; ls /proc/PID/task | wc -l",
        "Does it go on then? togai-shipper top DIR",
    ),
    (
        ("thread failed", "writer failed", "flusher failed", "was ended by"),
        "The application's log has the traceback: mend what it names, or report it.",
        "Does it go on by itself? togai-shipper top DIR",
    ),
    (
        (OLDEST_WAITS,),
        "More is tracked than goes out. Compare in/s and out/s: togai-shipper top DIR",
        "With 429s the quota is used up; else raise max_in_flight, then rate_limit.",
    ),
    (
        (FULL,),
        "Events are lost: mend why none gets out, or raise max_spool_bytes, max_queue_size.",
        "How much comes in and goes out? togai-shipper top DIR",
    ),
    (
        ("HTTP 429",),
        "The quota is used up: a longer flush_interval makes fewer requests, or a relay.",
        "Does the backlog shrink? togai-shipper top DIR",
    ),
    (
        ("HTTP ",),
        "Somebody answers, and takes nothing: Togai's status page, or a proxy, says why.",
        "What is the answer now? togai-shipper doctor --check-key",
    ),
    (
        ("no reply", "the proxy", "every attempt of the last minute failed"),
        "Nobody answers: Togai, DNS, a firewall, a proxy or a certificate. Events wait.",
        "Which is it? togai-shipper doctor --check-key",
    ),
)


def remedy_by_words(text: str, place: str) -> str:
    """Return what to do about a ``last_error``, with the next command, in two lines.

    Of words that are new there is none: the runbook may have them.
    """
    for words, do, ask in _REMEDIES:
        if any(each in text for each in words):
            return f"{do}\n{ask}".replace("DIR", place)
    ask = f"What else is wrong? togai-shipper doctor --spool {place}"
    return f"Its log and the runbook may know these words.\n{ask}"
