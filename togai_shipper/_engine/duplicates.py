"""Whether a server's words say that this very event, or its id, is known already. Pure.

A message that is taken for that by mistake makes a refused event a delivered one. So no words are searched
for: a clause has to say it as a whole, in one of the ways below, and nothing else may stand between. What
merely names the id, or says duplicate of something else (an attribute, an account), does not fit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

import attrs

MAX_TEXT = 500  # characters of a text that are looked at
_SAYS_SO = re.compile(
    "already|previous|earlier|before|twice|duplicate|unique|use|taken|exist"
)  # every way does

# A plain text has words in lower case, clauses that are divided by "|", and in place of names:
#   #  the event's id      ?  the same, where it could be a word of prose, too      @  any other name
_OTHER = re.compile(  # what else can be a duplicate, or exist already
    r"\b(?:attributes?|dimensions?|fields?|headers?|keys?|schemas?|customers?|accounts?|propert(?:y|ies)|names?"
    r"|values?|columns?|types?|units?|meters?|tenants?|organi[sz]ations?|users?|subscriptions?|plans?|alias(?:es)?"
    r"|timestamps?|tags?|labels?|parameters?|arguments?|versions?|prices?|entitlements?|licen[cs]es?|products?"
    r"|workspaces?|projects?|currenc(?:y|ies)|address(?:es)?|e-?mails?|invoices?|contracts?|wallets?|credits?)\b"
)
_SUPPOSED = re.compile(
    r"\b(?:no|not|never|non|without|neither|cannot|if|whether|unless|when|avoid|prevent)\b"
)
_WHICH = (
    r"(?:(?:an?|the|this|that|your|its|same|given|such|identical|another|one|existing|usage|billing|metering"
    r"|provided|submitted|specified|supplied|previous|earlier|known|unique) )*"
)
_KNOWN = (
    r"(?:exists?|existed|existing|present|known|ingested|processed|received|recorded|registered|stored|saved"
    r"|accepted|submitted|sent|seen|used|in use|taken|consumed|metered|billed|imported|tracked|created"
    r"|handled|persisted|reported|delivered|counted)"
)
_BEFORE = r"(?:before|previously|earlier|already|twice)"
_PREDICATE = (
    rf"(?:(?:is |was |has |have |had )?(?:been )?already (?:been )?{_KNOWN}(?: {_BEFORE})?"
    rf"|(?:is |was |has |had )?(?:been )?(?:previously|earlier|before) {_KNOWN}"
    rf"|(?:is |was |has |had )(?:been )?{_KNOWN} {_BEFORE}"
    r"|(?:is |was |has been |had been )?(?:already )?(?:an? )?(?:known |exact )?duplicated?"
    r"|(?:is |was |has been )?(?:rejected|ignored|skipped|dropped|discarded|refused|flagged|detected|marked"
    r"|treated|identified) as (?:being )?(?:an? )?duplicate"
    rf"|(?:is |was )?not unique|is (?:in use|taken)|exist(?:s|ed) {_BEFORE}|(?P<barely>exist(?:s|ed)))"
)
_PREFIX = (
    r"(?:(?:errors?|failed|failure|ingestion|conflict|bad|request|invalid|rejected|http|exception|togai|status"
    r"|code|warning|sorry|that|#|@) )*"
)
_REST = r"(?P<rest>| .*)"
_NOTED = re.compile(
    r"(?:detected|found|received|ignored|rejected|skipped|error|exception|failure|submission)\b ?"
)
_AFTERWARDS = re.compile(
    r"(?:for|in|at|on|by|within|since|under|from|and|but|so|or|to|again|of|it|will|successfully)\b"
)
_PLACE = re.compile(r"(?:for|in|at|on|by|within|under|from)\b")  # an id is known there, whatever place it is
_HERE = re.compile(r"(?:for|in|at|on|within|under) (?:this|your|the same) \w+")
_REASON = (
    r"fail\w*|invalid\w*|reject\w*|refus\w*|delet\w*|remov\w*|cancel\w*|abort\w*|quarantin\w*|lock\w*|closed|expired"
    r"|concurrent|retr(?:y|ied)|(?:try|again) (?:again|later)|later|dead letter|unknown"
    r"|(?:not|never|no longer) (?:billed|valid|accepted|ingested|processed|stored|exist|found|counted)"
    r"(?! (?:again|twice))"
)
_OWN_REASON = re.compile(rf"\b(?:{_REASON})\b")
_TAKES_BACK = re.compile(rf"\b(?:{_REASON}|(?:another|other|different)(?! event\b))\b")

_QUOTED = re.compile(r"(?<!\w)(['\"`])([^'\"`]{1,200})['\"`](?!\w)")
_WITH_DIGIT = re.compile(r"(?<![\w-])[\w-]*\d[\w-]*(?:[.:][\w-]+)*")
_EVENT_ID = re.compile(r"\bevent[._-]?id(?:entifier)?\b", re.IGNORECASE)
_IN_PROSE = re.compile(r"\b(?:[A-Z]+(?:[_-][A-Z]+)+|(?:[A-Z][a-z]+){2,})\b")  # an error's name
_JOINED = re.compile(r"(?<![^\W_])[^\W_]+(?:[._-][^\W_]+)+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_SET_OFF = re.compile(r"([\s:=,(\[<{'\"`]{0,30})([#?])[\s,:)\]>}'\"`]*")
_AS_ID = re.compile(r"\b(?:identifier|idempotency key|dedup(?:e|lication)? (?:key|id)|uuid|guid)\b")
_EVENT, _IT = re.compile(r"\bevent\b|#"), re.compile("^it ")
_BETWEEN = re.compile(r"(?<![^\w\s#?@…])[^\w\s#?@…]+(?:\s|$)|(?:^|\s)[^\w\s#?@…]+|\b(?:because|since)\b")


def says_duplicate(texts: Iterable[Any], event_id: str | None) -> bool:
    """Whether one of these texts says that the event is known already.

    ``event_id``: of the event that is meant. Without it, whatever looks like an id is taken for its.
    """
    telling = [text for text in texts if isinstance(text, str) and _SAYS_SO.search(text[:MAX_TEXT].lower())]
    grammar = _grammar(knows_id=event_id is not None)
    return any(_is_said(list(_clauses(plain)), grammar) for plain in _all_readings(telling, event_id))


def names_another(texts: Iterable[Any]) -> bool:
    """Whether one of these texts names something else that is in conflict, or another reason."""
    return any(_OTHER.search(plain) or _OWN_REASON.search(plain) for plain in _all_readings(texts, None))


def _all_readings(texts: Iterable[Any], event_id: str | None) -> Iterator[str]:
    for text in texts:
        if isinstance(text, str):
            yield from _readings(text, event_id)


def _is_said(clauses: Sequence[str], grammar: _Grammar) -> bool:
    """Whether one of the clauses says it, and none after it takes that back."""
    for number, clause in enumerate(clauses):
        if _SAYS_SO.search(clause) and grammar.fits(clause):
            return not any(
                _TAKES_BACK.search(each) or _OTHER.fullmatch(each) for each in clauses[number + 1 :]
            )
    return False


def _clauses(plain: str) -> Iterator[str]:
    before = ""
    for clause in map(str.strip, plain.split("|")):
        if clause.startswith("#") and _OTHER.search(before):  # its id, perhaps of that
            continue
        speaks_of_it = _EVENT.search(before) and not _OTHER.search(before)
        yield _IT.sub("event ", clause) if speaks_of_it else clause
        before = clause


@attrs.frozen
class _Grammar:
    """The ways to say it; ``an_id`` matches what stands where an id is expected."""

    sentences: tuple[re.Pattern[str], ...]
    adjective: re.Pattern[str]
    with_id: re.Pattern[str]

    def fits(self, clause: str) -> bool:
        for sentence in self.sentences:
            found = sentence.fullmatch(clause)
            if found and self._adds_nothing(found, barely=bool(found.groupdict().get("barely"))):
                return True
        found = self.adjective.fullmatch(clause)
        if not found or _OTHER.search(found["left"]) or _SUPPOSED.search(found["left"]):
            return False
        return self._adds_nothing(found)

    def _adds_nothing(self, found: re.Match[str], *, barely: bool = False) -> bool:
        """Whether the rest of the clause leaves it as it is: nothing, the id, when and where."""
        rest = _NOTED.sub("", found["rest"].strip(), count=1)
        is_named = "#" in found[0][: found.start("rest")]
        if named := self.with_id.fullmatch(rest):
            rest, is_named = named["rest"].strip(), is_named or "#" in named[0]
        if not rest or _HERE.fullmatch(rest):
            return True
        if barely or not _AFTERWARDS.match(rest) or _TAKES_BACK.search(rest):
            return False
        return not _OTHER.search(rest) or (is_named and _PLACE.match(rest) is not None)


@cache
def _grammar(*, knows_id: bool) -> _Grammar:
    word = r"(?!(?:already|is|was|has|have|had|been|exist|not|of|for|in|must|does|did|can|and|or)\b|@)\S+"
    of_id = r"[#?]" if knows_id else rf"(?:[#?]|(?!{_OTHER.pattern}){word})"
    of_event = r"[#?]" if knows_id else r"(?:[#?]|[b-hj-z]|…)"
    given = r"(?: (?:that )?you (?:have )?(?:supplied|provided|sent|submitted|specified|gave|given|used))?"
    an_id = rf"{_WHICH}(?:event )?id(?: (?:of |value |is )?{of_id})?{given}"
    event = rf"{_WHICH}event(?: record)?(?: {of_event})?(?: (?:with |of |having |by |for |using )?{an_id})?"
    record = rf"{_WHICH}(?:record|entry|item|object|entity|document|resource|message) (?:with|for|of) {an_id}"
    subject = rf"(?:{event}|{record}|{an_id}(?: of {_WHICH}event)?|#)"
    sentences = (
        rf"{_PREFIX}{subject} {_PREDICATE}{_REST}",
        rf"{_PREFIX}(?:we |it )?(?:have |has )?already (?:have |has |got )?(?:{_KNOWN} )?{subject}{_REST}",
        rf"{_PREFIX}there (?:is already|exists already|already is|already exists) {subject}{_REST}",
    )
    adjective = rf"(?P<left>(?:.* )??)(?:duplicated?|duplicates? of) {subject}(?: {_PREDICATE})?{_REST}"
    with_id = rf"(?:with |for |having |under |by |using |of )?(?:{_WHICH}{event}|{an_id}|[#?])(?P<rest>| .*)"
    return _Grammar(tuple(map(re.compile, sentences)), re.compile(adjective), re.compile(with_id))


def _readings(text: str, event_id: str | None) -> Iterator[str]:
    """Yield the plain text, twice: what stands before the id may be a clause of its own, or not."""
    text = text[:MAX_TEXT]
    if event_id is not None:
        mark = " # " if any(map(str.isdigit, event_id)) else " ? "
        text = re.sub(rf"(?<![\w-]){re.escape(event_id)}(?![\w-])", mark, text, flags=re.IGNORECASE)
    other = " # " if event_id is None else " @ "
    text = re.sub(r"n['’]t\b", " not", text)  # noqa: RUF001  as servers write it
    text = _QUOTED.sub(lambda found: found[2] if found[2].strip() in ("#", "?") else other, text)
    text = _WITH_DIGIT.sub(other, text)
    if re.search(r"\s", text.strip()):  # prose: names in it are names, but for those of errors and of the id
        text = _EVENT_ID.sub("event id", text)
        text = _IN_PROSE.sub(lambda found: re.sub("[_-]", " ", _HUMP.sub(" ", found[0])), text)
        text = _JOINED.sub(other, text)
    else:
        text = re.sub(r"[^\w#?@]|_", " ", _HUMP.sub(" ", text))
    text = _AS_ID.sub("id", text.lower())
    for form in (r" \2 ", r"\1 \2 "):
        yield " ".join(_BETWEEN.sub(" | ", _SET_OFF.sub(form, text)).split())
