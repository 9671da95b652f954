"""What the lines of a job mean: which of their places is which field of an event. Pure.

The id of a line is made of its bytes, so lines of a job that are read in another way than before would have
the ids of what they meant before, and Togai would not bill them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import attrs


@attrs.frozen
class LineMeaning:
    """What lines mean, as digests that can be compared.

    Attributes:
        fields: of the format, of the fields in the order of their columns or with their paths, of what
            ``--map`` says is the same in each row, and of ``--null``. Columns that mean nothing are left out:
            one more of them changes nothing.
        width: how many columns there are; 0 for NDJSON.
        places: of the number of each field's column, which can be compared if there are as many columns: the
            names of two columns may have been exchanged.

    """

    fields: str
    width: int = 0
    places: str = ""

    def is_another_than(self, other: LineMeaning) -> bool:
        """Whether a line may mean something else than it did."""
        return self.fields != other.fields or (self.width == other.width and self.places != other.places)


#: Without ``--map`` every line of NDJSON says itself which field is which.
NDJSON = LineMeaning("ndjson")
#: The text of a cell that says nothing, if none is chosen.
NULL = r"\N"


def meaning_of_paths(paths: Mapping[str, Sequence[str]], constants: Mapping[str, str]) -> LineMeaning:
    """Return what lines of NDJSON mean by ``--map``: by the paths to fields, and the fields without one."""
    fields = ["ndjson", str(len(paths))]
    for field, path in sorted(paths.items()):
        fields += [field, str(len(path)), *path]
    return LineMeaning(_digest([*fields, *_flat(sorted(constants.items()))]))


def meaning_of_columns(
    width: int,
    places: Mapping[str, int],
    constants: Mapping[str, str],
    null: str = NULL,
    delimiter: str = ",",
) -> LineMeaning:
    """Return what rows mean, by the place of each field's column, and by the fields that have none."""
    by_place = sorted((at, field) for field, at in places.items() if field not in constants)
    form = "csv" if delimiter == "," else f"csv{delimiter}"
    fields = [form, *(field for _, field in by_place), "", *_flat(sorted(constants.items()))]
    if null != NULL:  # with that, a job means what it meant before there was a choice
        fields += ["", null]
    return LineMeaning(_digest(fields), width, _digest(_flat(by_place)))


def _flat(pairs: Iterable[tuple[object, object]]) -> list[str]:
    return [str(each) for pair in pairs for each in pair]


def _digest(parts: Iterable[str]) -> str:
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=8).hexdigest()
