"""Find the objects of JSON that is not one object a line: in an array, one after another, over several lines.

Only quotes and brackets are looked at; whether an object is JSON is found out by who reads it. The text of an
object that stands on one line is what it would be as a line of NDJSON, so it has the same id there. The text
of one that goes over several lines is brought on one, without the white space between its parts: how it is
indented does not change its id.

An object that is broken (a quote or a bracket is not closed) ends where the next one begins on a line of its
own or after a comma, or where a bracket around it closes. If none of these comes, nothing can be read any
further.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from functools import lru_cache, partial

from .parsing import BOM, MAX_LINE, Line, OpenLine, OpenObject

MAX_DEPTH = 10_000  # brackets within one another
_BLANKS = b" \t\r\n"  # of JSON
_BLANK = (b" ", b"\t")  # within a line
_SHORT = 64  # bytes
_OPENERS = {b"}": b"{", b"]": b"["}

# The numbers bound what the engine of `re` keeps to go back to.
_IN_STRING = re.compile(rb'[^"\\\n]*(?:\\[^\n][^"\\\n]*){0,100}')
_NO_BRACKETS = re.compile(rb'[^"{}\[\]]*(?:"[^"\\\n]*"[^"{}\[\]]*){0,100}')
_NO_OBJECT = re.compile(rb'\]?(?:[^",{\]\n]+|"[^"\\\n]*"|"){0,100}')
_BETWEEN = re.compile(rb"[ \t\r\n,]*")
_INDENT = re.compile(rb"[ \t]*")
_LINE_END = re.compile(rb"[ \t\r]*\n?\Z")
_BESIDE = re.compile(rb"[ \t\r\n]*([{}\[\]:,])[ \t\r\n]*")
_HALF = re.compile(r'[-+.\w]*\s*|\\u?[0-9a-fA-F]{0,3}"?')  # of a word, a figure or a character
_SPACE = re.compile(rb"[ \t\r\n]+")


class NoEnd(EOFError):  # noqa: N818  like EOFError
    """It is not known where an object ends, so nothing can be read any further; the text says why."""


def are_objects(head: bytes) -> bool:
    """Whether what begins like this is an array, or objects that are not one a line; else it is NDJSON."""
    first = head.removeprefix(BOM).lstrip(_BLANKS)
    if not first.startswith(b"{"):
        return first.startswith(b"[")
    line, end, _ = first.partition(b"\n")
    reader = _Reader()
    try:
        text = next(reader.read(line + end, is_last=False), None)
    except NoEnd:
        return False
    if text is None:  # it goes on, or is broken already
        return bool(end) and not reader.is_broken
    return line[len(text) :].lstrip(_BLANKS).startswith((b"{", b","))


def objects_of(
    stream: io.BufferedIOBase, *, complete: bool = False, at_once: int = MAX_LINE
) -> Iterator[Line]:
    """Read each object, with its number, from 1, and its text (``None`` if longer than ``MAX_LINE``).

    What is no object comes out, too. What is not closed at the end of the stream comes out as ``OpenObject``:
    an object that may be half of one, or, with no text, the end that an array lacks, unless the stream is
    known to be ``complete``. Of a line, so many bytes are read ``at_once``.

    Raises ``NoEnd``.
    """
    number, reader = 0, _Reader()
    for piece in iter(partial(stream.readline, at_once), b""):
        for text in reader.read(piece, is_last=len(piece) < at_once and not piece.endswith(b"\n")):
            number += 1
            yield number, text
    if (rest := reader.rest()) is not None and (rest or not complete):
        yield number + 1, rest


class _Reader:
    """Reads a stream piece by piece. A piece is a line, or a part of a long one."""

    def __init__(self) -> None:
        self._is_begun = False
        self._begins_line = True  # the next piece
        self._in_array = False
        self._object: _Object | None = None  # that is not closed
        self._half = b""  # a string that is not closed

    @property
    def is_broken(self) -> bool:
        """Whether the object that is being read is broken."""
        return self._object is not None and self._object.is_broken

    def read(self, piece: bytes, *, is_last: bool) -> Iterator[bytes | None]:
        """Return the text of each object that ends in the piece."""
        if not self._is_begun:
            piece, self._is_begun = piece.removeprefix(BOM), True
        ends_line = is_last or piece.endswith(b"\n")
        piece, self._half = self._half + piece, b""
        at = 0
        while at < len(piece):
            begin = 0
            if self._object is None:
                begin = _end(_BETWEEN, piece, at)
                at = begin + 1
                first = piece[begin:at]
                if first != b"{" and not (first == b"[" and self._in_array):
                    if first == (b"]" if self._in_array else b"["):
                        self._in_array = not self._in_array
                    elif first:
                        at = _end(_NO_OBJECT, piece, begin)
                        yield piece[begin:at].rstrip(_BLANKS)
                    continue
                indent = _end(_INDENT, piece, 0) if self._begins_line else 0
                self._object = _Object(indent)
                at, begin = begin, 0 if self._begins_line and begin == indent else begin
            at = self._object.read(piece, at, begins_line=self._begins_line, in_array=self._in_array)
            if self._object.is_open:
                self._object.add(piece[begin:at])
                self._half = piece[at:]
                break
            is_alone = ends_line and _LINE_END.match(piece, at)
            self._object.add(piece[begin : len(piece) if is_alone else at])
            text, self._object = self._object.text(), None
            # As a line it would have the blanks behind it, but before another object it does not.
            may_go_on = text is not None and is_alone and text[-1:] in _BLANK and not piece.endswith(b"\n")
            yield OpenLine(text or b"") if may_go_on else text
        self._begins_line = piece.endswith(b"\n")
        if len(self._half) > MAX_LINE and self._object:
            self._object.add(self._half)
            self._half = b'"' + b"\\" * (_backslashes_before(self._half, len(self._half)) % 2)

    def rest(self) -> OpenObject | None:
        """Return what is not closed at the end, if something is not. Raises ``NoEnd``."""
        if self._object is None:
            return OpenObject() if self._in_array else None
        self._object.add(self._half)
        text = self._object.text()
        if text is None or self._object.is_broken or not _is_half(text):
            raise NoEnd("a quote or a bracket in it is not closed")
        return OpenObject(text)


class _Object:
    """An object that is being read.

    Args:
        indent: by how much its first line is indented.

    """

    def __init__(self, indent: int) -> None:
        self._indent = indent
        self._text = bytearray()
        self._size = 0
        self._open = bytearray()  # the brackets
        self._last = b""  # byte that is not white space
        self.is_open = True
        self.is_broken = False

    def add(self, text: bytes) -> None:
        """Add to its text."""
        self._size += len(text)
        if self._size <= MAX_LINE:
            self._text += text
        else:
            self._text.clear()

    def text(self) -> bytes | None:
        """Return its text, on one line; ``None`` if it is too long."""
        if self._size > MAX_LINE:
            return None
        text = bytes(self._text).rstrip(b"\r\n")
        return _on_one_line(text) if b"\n" in text else text

    def read(self, piece: bytes, at: int, *, begins_line: bool, in_array: bool) -> int:
        """Read on, and return where it ends, or else where the piece ends, or a string that is not closed."""
        while at < len(piece):
            found = _end(_NO_BRACKETS, piece, at)
            self._last = piece[at:found].rstrip(_BLANKS)[-1:] or self._last
            at, sign = found + 1, piece[found : found + 1]
            if sign == b'"':
                at = _end_of_string(piece, found)
                if not at and not piece.endswith(b"\n"):
                    return found
                self.is_broken = self.is_broken or not at
                at = at or len(piece)
                self._last = sign
            elif sign in _OPENERS.values():
                if not self._may_open():
                    self.is_broken = True
                is_first = begins_line and found <= self._indent and not piece[:found].strip(_BLANKS)
                if self.is_broken and sign == b"{" and (is_first or self._is_after_comma()):
                    self.is_open = False  # it is the next object
                    return 0 if is_first else found
                self._push(sign)
            elif sign:
                self._close(sign, in_array=in_array)
                if not self.is_open:
                    return found if self._open else at
        return len(piece)

    def _may_open(self) -> bool:
        """Whether a bracket may open here."""
        is_item = self._last == b"," and self._open[-1:] == b"["
        return not self._open or is_item or self._last in (b":", b"[")

    def _is_after_comma(self) -> bool:
        """Whether a comma stands before, and no bracket but the object's own is open."""
        return self._last == b"," and self._open == b"{"

    def _push(self, bracket: bytes) -> None:
        self._open += bracket
        self._last = bracket
        if len(self._open) > MAX_DEPTH:
            raise NoEnd("it is nested too deeply")

    def _close(self, bracket: bytes, *, in_array: bool) -> None:
        depth = self._open.rfind(_OPENERS[bracket])
        self._last = bracket
        self.is_broken = self.is_broken or depth != len(self._open) - 1
        if depth >= 0:
            del self._open[depth:]
            self.is_open = bool(self._open)
        elif in_array and bracket == b"]":  # the array around it closes
            self.is_open = False


def _is_half(text: bytes) -> bool:
    """Whether a text may be the beginning of an object: nothing in it is wrong but that it ends."""
    try:
        json.loads(text.decode(errors="replace"))
    except json.JSONDecodeError as error:
        rest = error.doc[error.pos :]
        return error.msg.startswith("Unterminated") or _HALF.fullmatch(rest) is not None
    except RecursionError:
        pass
    return True


def _end(pattern: re.Pattern[bytes], text: bytes, at: int) -> int:
    """Return where a pattern that matches anything ends."""
    found = pattern.match(text, at)
    return found.end() if found else at


def _end_of_string(text: bytes, quote: int) -> int:
    """Return where the string ends that begins with a quote; 0: not on this line."""
    at = quote + 1
    while text[(after := _end(_IN_STRING, text, at)) : after + 1] != b'"':
        if after == at:
            return 0
        at = after
    return after + 1


def _backslashes_before(text: bytes, at: int) -> int:
    begin = at
    while text[begin - 1 : begin] == b"\\":
        begin -= 1
    return at - begin


def _on_one_line(text: bytes) -> bytes:
    """Leave out the white space between the parts of an object; what could join two of them is one space."""
    line, at = bytearray(), 0
    while (quote := text.find(b'"', at)) >= 0:
        gap = text[at:quote]
        line += _closed_up(gap) if len(gap) > _SHORT else _closed_up_again(gap)
        at = _end_of_string(text, quote) or quote + 1
        line += text[quote:at]
    line += _closed_up(text[at:])
    return bytes(line.strip(_BLANKS))


def _closed_up(text: bytes) -> bytes:
    return _BESIDE.sub(rb"\1", _SPACE.sub(b" ", text))


_closed_up_again = lru_cache(maxsize=1000)(_closed_up)  # commas, colons and indents are the same everywhere
