"""Paths into nested JSON, such as ``customer.id`` and ``items.0.count``. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

#: The names and numbers that lead to a value.
Path: TypeAlias = tuple[str, ...]
#: What some paths lead to: their next steps, each with what follows it; if nothing does, all that is there.
Tree: TypeAlias = dict[str, "Tree"]

_CHARACTERS = re.compile(r"\\[.\\]|.", re.DOTALL)
_PLACE = re.compile("0|[1-9][0-9]{0,8}")  # in a list


def path_of(text: str) -> Path:
    r"""Return the steps of a path; in a name, a dot is written ``\.`` and a backslash before a dot ``\\``.

    >>> path_of(r"customer.billing\.id")
    ('customer', 'billing.id')

    """
    steps = [""]
    for character in _CHARACTERS.findall(text):
        if character == ".":
            steps.append("")
        else:
            steps[-1] += character[-1]
    return tuple(steps)


def text_of_path(path: Path) -> str:
    """Write a path so that ``path_of`` reads it."""
    return ".".join(re.sub(r"[.\\]", r"\\\g<0>", step) for step in path)


def value_at(path: Path, value: Any) -> Any:
    """Return what a path leads to; ``None`` if that is null, or not there."""
    for step in path:
        if type(value) is dict:
            value = value.get(step)
        elif type(value) is list and _PLACE.fullmatch(step) and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def tree_of(paths: Iterable[Path]) -> Tree:
    """Return what some paths lead to, together."""
    tree: Tree = {}
    for path in sorted(paths, key=len, reverse=True):  # the shortest ones last: they take all that is there
        node = tree
        for step in path[:-1]:
            node = node.setdefault(step, {})
        node[path[-1]] = {}
    return tree


def without(value: dict[str, Any] | list[Any], tree: Tree) -> dict[str, Any] | list[Any]:
    """Return the members of a value that the tree does not lead to or into."""
    if type(value) is dict:
        return {step: inner for step, inner in value.items() if step not in tree}
    return [inner for place, inner in enumerate(value) if str(place) not in tree]


def left_over(value: Any, tree: Tree) -> Iterator[Path]:
    """Return the paths of what is in a value, and not in the tree; null is nothing."""
    if not tree or value is None:
        return
    if type(value) is not dict and type(value) is not list:
        yield ()
        return
    for step, inner in value.items() if type(value) is dict else enumerate(value):
        name = str(step)
        if name not in tree:
            yield (name,)
        else:
            yield from ((name, *path) for path in left_over(inner, tree[name]))
