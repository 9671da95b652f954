"""Objects that are known without being kept."""

from __future__ import annotations

import gc

from togai_shipper._process.registry import Registry


class Member:
    __hash__ = None  # type: ignore[assignment]  # not hashable, as an object with eq=True is


def test_members_are_found_while_somebody_holds_them() -> None:
    registry: Registry[Member] = Registry()
    kept, let_go = Member(), Member()
    registry.add(kept)
    registry.add(let_go)
    registry.add(kept)
    assert list(registry) == [kept, let_go]

    del let_go
    gc.collect()
    assert list(registry) == [kept]


def test_a_member_may_be_added_while_the_others_are_looked_through() -> None:
    registry: Registry[Member] = Registry()
    members = [Member(), Member()]
    for member in members:
        registry.add(member)

    seen = 0
    for _ in registry:
        seen += 1
        members.append(Member())
        registry.add(members[-1])

    assert seen == 2
    assert list(registry) == members


def test_a_member_may_go_while_the_others_are_looked_through() -> None:
    registry: Registry[Member] = Registry()
    members = [Member(), Member()]
    for member in members:
        registry.add(member)

    for _ in registry:
        members.clear()

    assert [type(member) for member in registry] == [Member], "the loop's own variable holds the last one"
