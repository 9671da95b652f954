"""When to tell of entries that are not ours."""

from __future__ import annotations

from togai_shipper.relay.strangers import KINDS, TELL_EVERY, Strangers


def test_each_kind_is_told_once_up_to_so_many() -> None:
    strangers = Strangers()

    assert strangers.is_new("cut", 0.0)
    assert not strangers.is_new("cut", TELL_EVERY * 9)
    assert sum(strangers.is_new(f"{n}", 0.0) for n in range(100)) == KINDS - 1


def test_their_number_is_told_where_it_changes_once_an_hour_at_most() -> None:
    strangers = Strangers()
    strangers.is_new("cut", 0.0)

    assert not strangers.is_news(3, 1.0), "a kind of them was told just now"
    assert not strangers.is_news(4, 2.0)
    assert strangers.is_news(5, TELL_EVERY)
    assert not strangers.is_news(5, TELL_EVERY * 3)
    assert strangers.is_news(6, TELL_EVERY * 3)
    assert not strangers.is_news(7, TELL_EVERY * 3.5)
    assert not strangers.is_news(0, TELL_EVERY * 9)
