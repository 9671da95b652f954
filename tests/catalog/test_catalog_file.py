"""The file of event schemas: what is written can be read, and what is wrong with one is told in a line."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from togai_shipper import ConfigurationError
from togai_shipper._catalog import EventSchema, contents, read_catalog

WHOLE = {
    "name": "api_call",
    "version": 3,
    "status": "ACTIVE",
    "attributes": [{"name": "count"}, {"name": "ms", "defaultUnit": "Milliseconds"}, {"name": "cost"}],
    "dimensions": [{"name": "region"}, {"name": "tier"}],
    "enrichments": {"fields": [{"name": "cost", "type": "ATTRIBUTE"}, {"name": "tier", "type": "DIMENSION"}]},
    "eventIdTemplate": "",
    "usageMetersCount": 2,
}


def written(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value))
    return path


def test_what_is_written_is_read_and_what_togai_adds_itself_is_not_asked_of_events(tmp_path: Path) -> None:
    file = written(tmp_path / "a.json", contents("https://api.togai.com", [WHOLE]))

    assert read_catalog(file) == {
        "api_call": EventSchema(
            "api_call", 3, "ACTIVE", ("count", "ms"), ("region",), 2, has_id_template=False
        )
    }


def test_the_same_schemas_in_another_order_are_the_same_file() -> None:
    other = {"name": "storage", "version": 1}
    turned = dict(reversed(WHOLE.items()))

    assert json.dumps(contents("u", [WHOLE, other])) == json.dumps(contents("u", [other, turned]))


def test_of_several_with_one_name_the_active_one_counts_else_the_latest(tmp_path: Path) -> None:
    schemas = [
        {"name": "a", "version": 1, "status": "INACTIVE"},
        {"name": "a", "version": 2, "status": "ACTIVE"},
        {"name": "a", "version": 3, "status": "DRAFT"},
        {"name": "b", "version": 2, "status": "ARCHIVED"},
        {"name": "b", "version": 1, "status": "DRAFT"},
    ]
    found = read_catalog(written(tmp_path / "a.json", {"event_schemas": schemas}))

    assert {name: schema.version for name, schema in found.items()} == {"a": 2, "b": 2}


def test_a_file_written_by_hand_may_have_names_alone(tmp_path: Path) -> None:
    found = read_catalog(written(tmp_path / "a.json", {"event_schemas": ["a", {"name": "b"}]}))

    assert found == {"a": EventSchema("a"), "b": EventSchema("b")}


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ([], "must be an object with event_schemas, as togai-shipper catalog writes it"),
        ({"schemas": []}, "must be an object with event_schemas, as togai-shipper catalog writes it"),
        ({"event_schemas": {}}, "event_schemas: must be a list, not dict"),
        ({"event_schemas": [None]}, "event_schemas[0]: must be an object or a name, not nothing"),
        ({"event_schemas": [[]]}, "event_schemas[0]: must be an object or a name, not list"),
        ({"event_schemas": ["a", {}]}, "event_schemas[1].name: must be a text, not nothing"),
        ({"event_schemas": [{"name": 5}]}, "event_schemas[0].name: must be a text, not int"),
        (
            {"event_schemas": [{"name": "a", "attributes": 5}]},
            "event_schemas[0].attributes: must be a list of objects",
        ),
        (
            {"event_schemas": [{"name": "a", "dimensions": ["b"]}]},
            "event_schemas[0].dimensions: must be a list of objects",
        ),
        (
            {"event_schemas": [{"name": "a", "attributes": [{}]}]},
            "event_schemas[0].attributes[0].name: must be a text, not nothing",
        ),
        (
            {"event_schemas": [{"name": "a", "enrichments": [5]}]},
            "event_schemas[0].enrichments: must be an object, not list",
        ),
        (
            {"version": 2, "event_schemas": []},
            "version: must be 1, is 2: another version of togai_shipper made it",
        ),
        (
            {"version": "x", "event_schemas": []},
            "version: must be 1, is str: another version of togai_shipper made it",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_place(tmp_path: Path, value: Any, why: str) -> None:
    file = written(tmp_path / "a.json", value)

    with pytest.raises(ConfigurationError) as error:
        read_catalog(file)
    assert str(error.value) == f"catalog {file}: {why}"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is not JSON: Expecting value"),
        (b"{", "is not JSON: "),
        (b"\xff", "'utf-8' codec"),
        (b"[" * 100_000, "maximum recursion"),
    ],
)
def test_what_is_no_json_is_told(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "a.json").write_bytes(content)

    with pytest.raises(ConfigurationError, match=why):
        read_catalog(tmp_path / "a.json")


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: No such file or directory"):
        read_catalog(tmp_path / "none.json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["name", "version", "status", "attributes", "dimensions", "enrichments", "fields"]
            )
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(schemas=st.lists(JSON, max_size=3) | JSON)
def test_whatever_a_file_holds_it_is_read_or_refused_in_one_way(
    tmp_path_factory: pytest.TempPathFactory, schemas: Any
) -> None:
    file = written(tmp_path_factory.getbasetemp() / "any.json", {"event_schemas": schemas})

    found = {}
    with suppress(ConfigurationError):
        found = read_catalog(file)
    assert all(schema.name == name for name, schema in found.items())
