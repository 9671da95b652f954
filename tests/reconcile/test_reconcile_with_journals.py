"""Our side by the journals of a spool: what real shippers have delivered, against what the sandbox bills."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import attrs
import pytest
from scene import DAY, NOW, Scene, at, event

from togai_shipper import Shipper
from togai_shipper._journal import Counted, Journal, Listed, read_journals, written
from togai_shipper.testing import faults

ALONE = ("--sole-sender", "--day-rule", "event")


def deliver(scene: Scene, events: int, *, journal: str, schema: str = "api_call") -> str:
    """Deliver events of ``DAY`` by a spool, with a reply that is lost; return the directory."""
    directory = scene.folder / f"spool {journal}"
    scene.togai.script(faults.Refuse(503, ingest="all"))
    scene.togai.clock = NOW.timestamp
    with Shipper("secret", base_url=scene.togai.url, spool=str(directory), journal=journal) as shipper:
        for n in range(events):
            shipper.track(schema, "acme", {"count": 1}, timestamp=at(DAY, 9) + timedelta(seconds=n))
        assert shipper.flush()
    scene.now = NOW + timedelta(days=900)  # what a spool has noted is of today
    scene.togai.clock = scene.now.timestamp
    return str(directory)


def test_what_a_shipper_has_delivered_is_balanced_though_a_retry_has_left_duplicates(scene: Scene) -> None:
    directory = deliver(scene, 30, journal="counts")

    result = scene.run(*ALONE, directory)

    assert result.exit_code == 0, result.output
    assert scene.togai.ledger.duplicates > 0
    assert " spool of " in result.stdout


def test_kept_ids_prove_it_whoever_else_sends_and_whatever_the_day_rule(scene: Scene) -> None:
    directory = deliver(scene, 30, journal="ids")
    scene.receive([event("of somebody else")])

    assert scene.run(directory).exit_code == 0


def test_a_mistyped_schema_is_named_by_its_events(scene: Scene) -> None:
    scene.togai.schemas = ["api_call"]
    directory = deliver(scene, 3, journal="accounts", schema="api_cal")
    scene.receive([event("a")])

    result = scene.run(*ALONE, directory)

    assert result.exit_code == 1
    assert result.stdout.count("acme") == 3


def test_a_journal_that_is_given_twice_counts_once(scene: Scene) -> None:
    directory = deliver(scene, 3, journal="counts")
    export = scene.folder / "export"
    export.write_text("\n".join(written(read_journals(directory))) + "\n")

    assert scene.run(*ALONE, directory, str(export), str(export)).exit_code == 0
    assert scene.run(*ALONE, str(export), directory, str(export)).exit_code == 0


JOURNAL = Journal(
    "one",
    "host",
    "7",
    at(DAY, -48),
    NOW,
    "spool",
    (Counted(DAY, DAY, "api_call", is_chosen=False, account=None, fate="delivered", count=2),),
)


def exported(folder: Path, journals: Sequence[Journal]) -> str:
    path = folder / "export"
    path.write_text("\n".join(written(journals)) + "\n")
    return str(path)


@pytest.mark.parametrize(
    ("journal", "why"),
    [
        (attrs.evolve(JOURNAL, is_complete=False), "host 7: its journal is not complete"),
        (attrs.evolve(JOURNAL, is_complete=False, why_not="it was purged"), "host 7: it was purged"),
        (attrs.evolve(JOURNAL, doubts={DAY: "a disk was full"}), f"host 7: {DAY}: a disk was full"),
        (
            attrs.evolve(
                JOURNAL, counts=(*JOURNAL.counts, attrs.evolve(JOURNAL.counts[0], schema="", count=4))
            ),
            "of 4 events it does not know the schema or the day",
        ),
    ],
    ids=["incomplete", "purged", "doubt", "damaged"],
)
def test_what_is_in_doubt_of_a_journal_is_never_balanced(scene: Scene, journal: Journal, why: str) -> None:
    scene.receive([event("a"), event("b")])

    result = scene.run(*ALONE, exported(scene.folder, [journal]))

    assert result.exit_code in (1, 3)
    assert why in " ".join(result.stdout.split())


def test_a_doubt_of_another_day_is_no_doubt_of_this_one(scene: Scene) -> None:
    scene.receive([event("a"), event("b")])
    doubts = {DAY - timedelta(days=9): "a disk was full"}

    assert scene.run(*ALONE, exported(scene.folder, [attrs.evolve(JOURNAL, doubts=doubts)])).exit_code == 0


def test_a_relay_that_may_have_counted_twice_cannot_be_told_as_far_as_duplicates_explain_it(
    scene: Scene,
) -> None:
    scene.receive([event("a"), event("a")])
    relay = attrs.evolve(JOURNAL, kind="relay")

    result = scene.run(*ALONE, exported(scene.folder, [relay]))
    assert result.exit_code == 3
    assert "1  Togai has fewer, and as many duplicates" in result.stdout

    result = scene.run(*ALONE, exported(scene.folder, [JOURNAL]))
    assert result.exit_code == 1


@pytest.mark.parametrize("fate", ["waiting", "dead", "purged", "dropped"])
def test_what_was_tracked_and_never_delivered_is_no_balance(scene: Scene, fate: str) -> None:
    scene.receive([event("a"), event("b")])
    left = None if fate in ("waiting", "dead") else DAY
    count = attrs.evolve(JOURNAL.counts[0], fate=fate, count=5, delivered_day=left)

    result = scene.run(
        *ALONE, exported(scene.folder, [attrs.evolve(JOURNAL, counts=(*JOURNAL.counts, count))])
    )

    assert result.exit_code == (3 if fate == "waiting" else 1)
    assert "  tracked                                                      7" in result.stdout


def test_what_was_delivered_within_a_day_may_not_be_shown_yet(scene: Scene) -> None:
    scene.receive([event("a")])
    late = attrs.evolve(JOURNAL.counts[0], delivered_day=NOW.date())

    result = scene.run(*ALONE, exported(scene.folder, [attrs.evolve(JOURNAL, counts=(late,))]))

    assert result.exit_code == 3
    assert "1  Togai may not show them yet" in result.stdout


def test_an_id_that_another_event_has_is_not_called_billed(scene: Scene) -> None:
    scene.receive([event("order-7", "storage"), event("order-7", "api_call"), event("order-8")])
    ids = (Listed(DAY, DAY, "api_call", is_chosen=True, ids=("order-7", "order-8")),)
    chosen = attrs.evolve(JOURNAL.counts[0], is_chosen=True)
    journal = attrs.evolve(JOURNAL, counts=(chosen,), listed=ids)

    for arguments in (ALONE, ()):
        result = scene.run(*arguments, exported(scene.folder, [journal]))
        assert result.exit_code == 1
        assert "order-7" in result.stdout


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"togai_journal": 9}\n', "of a newer version of togai-shipper"),
        ("something\n", "is not what `spool journal export` writes"),
        ('{"togai_journal": 1}\n', "was cut off"),
        ('{"togai_journal": 1}\n{"end": "export"}\n', "has no journal"),
    ],
)
def test_a_file_that_is_no_export_is_wrong_usage(scene: Scene, text: str, why: str) -> None:
    path = scene.folder / "export"
    path.write_text(text)

    result = scene.run(*ALONE, str(path))

    assert (result.exit_code, result.stdout) == (2, "")
    assert why in result.stderr
    assert scene.looked_up() == []


def test_a_journal_of_events_that_went_elsewhere_is_wrong_usage(scene: Scene) -> None:
    elsewhere = exported(scene.folder, [attrs.evolve(JOURNAL, base_url="https://api.togai.com")])
    for place, why in (
        (elsewhere, f"its events went to https://api.togai.com, and {scene.togai.url} is asked"),
        ("redis://user:secret@example.com", "Name or service not known"),
    ):
        result = scene.run(*ALONE, place)

        assert (result.exit_code, result.stdout) == (2, "")
        assert why in result.stderr
        assert "secret" not in result.stderr
    assert scene.looked_up() == []


def test_of_two_exports_of_a_journal_the_later_one_counts(scene: Scene) -> None:
    scene.receive([event("a"), event("b")])
    earlier = attrs.evolve(JOURNAL, until=NOW - timedelta(hours=1), counts=())

    assert scene.run(*ALONE, exported(scene.folder, [JOURNAL, earlier])).exit_code == 0
    assert scene.run(*ALONE, exported(scene.folder, [earlier, JOURNAL])).exit_code == 0
