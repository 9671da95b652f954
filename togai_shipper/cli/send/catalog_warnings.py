"""What Togai would not bill of the events of files, by a file of its event schemas: for ``--dry-run``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from togai_shipper import ConfigurationError, Event
from togai_shipper._catalog import Catalog, problems_of, read_catalog
from togai_shipper.cli.formats import plural

LISTED = 100  # different problems that are told
MOST = 1000  # that are told apart: names of schemas come from the files
OTHERS = "other problems like these"


class CatalogWarnings:
    """Looks at each event, and tells at the end what is wrong, and with how many of them.

    ``look``: the ``before_send`` of the shipper that checks the events; ``None`` without a catalog.
    """

    def __init__(self, catalog: Catalog | None) -> None:
        self._catalog = catalog or {}
        self._found: Counter[str] = Counter()
        self._first: dict[str, str] = {}
        self.look: Callable[[Event], Event] | None = None if catalog is None else self._look

    def _look(self, event: Event) -> Event:
        for problem in problems_of(event, self._catalog):
            text = problem.text if problem.text in self._found or len(self._found) < MOST else OTHERS
            self._found[text] += 1
            self._first.setdefault(text, event.id)
        return event

    def lines(self) -> Iterator[str]:
        """Say it in a line for each problem, the most frequent one first."""
        for text, count in self._found.most_common(LISTED):
            yield f"warning: {plural(count, 'event')}: {text} (the first has the id {self._first[text]!r})"
        if (left := len(self._found) - LISTED) > 0:
            yield f"warning: {plural(left, 'more problem')} like these"


def warnings_by(path: Path | None, *, dry_run: bool) -> CatalogWarnings:
    """Return what warns by the catalog in a file, or by none. Raises ``UsageError``."""
    if path is None:
        return CatalogWarnings(None)
    if not dry_run:
        raise click.UsageError("--catalog is for --dry-run.")
    try:
        return CatalogWarnings(read_catalog(path))
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error
