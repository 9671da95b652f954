"""What this library can say of a fault, read from its code: lines of the log, and values of ``last_error``.

A message is its fixed texts: what is filled in, by ``%s`` or in braces, is a ``HOLE``. A name is followed to
its assignments in the same function, a call to the functions of ``FOLLOWED``. A message that is not found in
this way raises ``UnresolvedError``, with its file and line.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs

PACKAGE = Path(__file__).parent.parent / "togai_shipper"
HOLE = "\0"
FEWEST_LETTERS = 6  # of the longest fixed text of a message
FORMATS = re.compile(r"%[-+#0-9.,]*[sdf]")

# Whose method logs, and which argument is the message. A receiver is known by its last name, ``self`` by its
# class. Each logs at WARNING or above, but for ``write`` with ``logging.INFO``.
LOGGING = {
    ("log", "complain"): 1,
    ("log", "write"): 1,
    ("log", "recovered"): 1,
    ("news", "warning"): 1,
    ("news", "error"): 1,
    ("news", "recovered"): 1,
    ("news", "loss"): 0,
    ("rounds", "fail"): 0,
    ("rounds", "complain"): 0,
    ("carrying", "note_failure"): 0,
    ("adoption", "_tell"): 1,  # it is given news.error
    ("", "say"): 1,  # news.error or news.warning
}
GIVEN_AWAY = {"spool/recovery.py": "adoption._tell", "relay/stream.py": "say"}  # without being called there
SUSPICIOUS = {"complain", "recovered", "loss", "warning", "error", "exception", "critical", "fail"}
KEYWORDS = {"failing", "cannot_start", "why_aside"}  # of calls: texts that are told later
CAUSES = {
    "Park": 1,
    "Loss": 1,
    "Full": 0,
    "Forbidden": 0,
    "Foreign": 0,
    "Newer": 0,
    "KeyUnavailable": 0,
}  # what parks; or else Togai's words
COMPLAINING = ("_engine/health.py", "spool/writer.py", "spool/adoption.py", "relay/stream.py")
FOLLOWED = {"why_pinned": "spool/disk.py", "line": "relay/losses.py", "another_server": "relay/losses.py"}
# What is told and made elsewhere, and collected there: by KEYWORDS, CAUSES, or as a line of the log.
MADE_ELSEWHERE = {
    "self._failing",
    "self._flushers.failure",
    "self._writer.failure",
    "self._thread.failure",
    "self._failure",
    "complaint",
    "forged[min(forged)]",
    "None",
}


class UnresolvedError(Exception):
    """There is a message, and what it says cannot be found."""


@attrs.frozen(order=True)
class Message:
    """One thing that may be said; ``at`` is ``file:line``."""

    at: str
    text: str

    @property
    def longest(self) -> str:
        """The longest of its fixed texts, with single spaces."""
        return max((" ".join(each.split()) for each in self.text.split(HOLE)), key=len)


@attrs.frozen
class Place:
    """Where an expression stands: its module, and what encloses it, the innermost last."""

    module: str
    tree: ast.Module
    around: tuple[ast.AST, ...]

    @property
    def class_name(self) -> str:
        return next((each.name for each in reversed(self.around) if isinstance(each, ast.ClassDef)), "")

    @property
    def functions(self) -> list[ast.FunctionDef]:
        return [each for each in reversed(self.around) if isinstance(each, ast.FunctionDef)]


def sources() -> dict[str, str]:
    """The library's modules, by path; not the commands, which speak to who types them, nor the sandbox."""
    paths = sorted(PACKAGE.rglob("*.py"))
    named = {str(path.relative_to(PACKAGE)): path.read_text("utf-8") for path in paths}
    return {name: text for name, text in named.items() if name.split("/")[0] not in ("cli", "sandbox")}


def logged(modules: Mapping[str, str]) -> Iterator[Message]:
    """Everything that can be logged at WARNING or above."""
    for place, node in _walk(modules):
        if isinstance(node, ast.Call) and (who := _who(node.func, place)) in LOGGING:
            if not (who[1] == "write" and ast.unparse(node.args[0]) == "logging.INFO"):
                index = LOGGING[who]
                yield from _messages(node.args[index], node.args[index + 1 :], place)
        elif isinstance(node, ast.Call) and node.args and who[0] and who[1] in SUSPICIOUS:
            raise UnresolvedError(f"{place.module}:{node.lineno}: does {ast.unparse(node.func)}() log?")
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Load)
            and _who(node, place) in LOGGING
        ):
            parent = place.around[-1]
            if not (isinstance(parent, ast.Call) and parent.func is node) and place.module not in GIVEN_AWAY:
                raise UnresolvedError(
                    f"{place.module}:{node.lineno}: who calls {ast.unparse(node)}, and how?"
                )


def told(modules: Mapping[str, str]) -> Iterator[Message]:
    """Everything that ``last_error`` says while ``healthy`` is false, but for the words of others."""
    for place, node in _walk(modules):
        if isinstance(node, ast.keyword) and node.arg in KEYWORDS:
            yield from _messages(node.value, [], place, is_needed=False)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CAUSES:
            index = CAUSES[node.func.id]
            yield from _messages(node.args[index], [], place, is_needed=False)
        elif isinstance(node, ast.Return) and node.value is not None and place.module in COMPLAINING:
            is_made_here = ast.unparse(node.value) not in MADE_ELSEWHERE
            if is_made_here and place.functions[0].name == "complaint":
                yield from _messages(node.value, [], place)


def _walk(modules: Mapping[str, str]) -> Iterator[tuple[Place, ast.AST]]:
    for module, text in modules.items():
        tree = ast.parse(text)
        waiting: list[tuple[ast.AST, tuple[ast.AST, ...]]] = [(tree, ())]
        while waiting:
            node, around = waiting.pop()
            yield Place(module, tree, around), node
            waiting += [(child, (*around, node)) for child in ast.iter_child_nodes(node)]


def _who(function: ast.AST, place: Place) -> tuple[str, str]:
    """Whose method it is, and which."""
    if isinstance(function, ast.Name):
        return "", function.id
    if not isinstance(function, ast.Attribute):
        return "", ""
    whose = function.value
    if isinstance(whose, ast.Call):  # Log(...).write
        whose = whose.func
    name = whose.attr if isinstance(whose, ast.Attribute) else getattr(whose, "id", "")
    return (place.class_name if name == "self" else name).strip("_").lower(), function.attr


def _messages(
    node: ast.expr, arguments: list[ast.expr], place: Place, *, is_needed: bool = True
) -> Iterator[Message]:
    at = f"{place.module}:{node.lineno}"
    if isinstance(node, ast.Name) and node.id in _parameters(place):
        if is_needed and (place.class_name.lower(), place.functions[-1].name) not in LOGGING:
            raise UnresolvedError(f"{at}: who gives {node.id}?")
        return  # it is told of where that function is called
    for text in _texts(node, place):
        for filled in _filled(text, [_texts(each, place) for each in arguments]):
            message = Message(at, filled)
            if sum(map(str.isalpha, message.longest)) >= FEWEST_LETTERS:
                yield message
            elif is_needed and ast.unparse(node) not in MADE_ELSEWHERE:
                raise UnresolvedError(f"{at}: what does {ast.unparse(node)} say?")


def _filled(text: str, arguments: list[list[str]]) -> Iterator[str]:
    """The text with each argument in the place that is kept for it."""
    fixed = FORMATS.split(text)
    given = [*arguments, *[[HOLE]] * len(fixed)][: len(fixed) - 1]
    for chosen in itertools.product(*given):
        yield "".join(itertools.chain(*zip(fixed, (*chosen, ""), strict=True)))


def _parameters(place: Place) -> set[str]:
    return {each.arg for function in place.functions for each in function.args.args}


def _texts(node: ast.expr, place: Place) -> list[str]:  # noqa: PLR0911  a return for each kind of expression
    """Everything that an expression may be, as far as that stands in the code."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=parts):
            return ["".join(each) for each in itertools.product(*(_texts(part, place) for part in parts))]
        case ast.FormattedValue(value=value):
            return _texts(value, place)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return ["".join(each) for each in itertools.product(_texts(left, place), _texts(right, place))]
        case ast.IfExp(body=one, orelse=other):
            found = _texts(one, place) + _texts(other, place)
            return [HOLE] if found == [HOLE, ""] else found  # what is filled in may be nothing
        case ast.BoolOp(values=values):
            return [text for value in values for text in _texts(value, place)]
        case ast.Name():
            return _assigned(node, place) or [HOLE]
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in FOLLOWED:
            return _returned(name)
    return [HOLE]


def _assigned(use: ast.Name, place: Place) -> list[str]:
    """What may be assigned to a name when it is used: in a function around, or else in the module."""
    for where in (*place.functions, place.tree):
        found = _reaching(where.body, use.id, use.lineno)
        if found:
            return [
                text for value, prefix in found for text in (prefix + each for each in _texts(value, place))
            ]
        if use.id in _parameters(place):
            return []
    return []


def _reaching(body: list[ast.stmt], name: str, line: int) -> list[tuple[ast.expr, str]]:
    """The values that a name may have at a line, and what stands before each: nothing, or more of it."""
    found: list[tuple[ast.expr, str]] = []
    for statement in body:
        if statement.lineno > line:
            break
        match statement:
            case ast.Assign(targets=[ast.Name(id=one)], value=value) if one == name:
                found = [(value, "")]
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                pairs = zip(names, values, strict=True)
                found = [(value, "") for one, value in pairs if getattr(one, "id", "") == name] or found
            case ast.AugAssign(target=ast.Name(id=one), value=value) if one == name:
                found.append((value, HOLE))
            case ast.FunctionDef() | ast.ClassDef():
                pass
            case _:
                inner = [each for each in _blocks(statement) if each and each[0].lineno <= line]
                around = [each for each in inner if line <= (each[-1].end_lineno or 0)]
                if around:
                    return _reaching(around[0], name, line) or found
                found += [value for each in inner for value in _reaching(each, name, line)]
    return found


def _blocks(statement: ast.stmt) -> list[list[ast.stmt]]:
    """The blocks of a statement that has some."""
    blocks = [getattr(statement, each, []) for each in ("body", "orelse", "finalbody")]
    return blocks + [each.body for each in getattr(statement, "handlers", [])]


def _returned(name: str) -> list[str]:
    """What a function of ``FOLLOWED`` returns."""
    module = FOLLOWED[name]
    return [
        text
        for place, node in _walk({module: (PACKAGE / module).read_text("utf-8")})
        if isinstance(node, ast.Return) and node.value is not None and place.functions[0].name == name
        for text in _texts(node.value, place)
    ]
