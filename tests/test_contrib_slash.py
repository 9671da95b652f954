"""Which redirects are made for a slash, and none of an application's own is taken for one."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as some

from togai_shipper.contrib._slash import is_for_a_slash

HERE = "http://shop/items?page=2"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("status", [301, 307, 308])
def test_the_same_url_with_a_slash_at_its_end_is_for_a_slash_whatever_the_method(
    method: str, status: int
) -> None:
    assert is_for_a_slash(method, status, HERE, "http://shop/items/?page=2")


@pytest.mark.parametrize(
    ("url", "location"),
    [
        (HERE, "/items/?page=2"),
        (HERE, "items/?page=2"),
        (HERE, "//shop/items/?page=2"),
        (HERE, "http://SHOP:80/items/?page=2"),
        ("https://shop:443/items", "https://shop/items/"),
        ("http://shop/items/", "/items"),
        ("http://shop//items//7", "http://shop/items/7"),
        ("http://shop", "http://shop//"),
        ("http://shop/caf%C3%A9%20x", "/café%20x/"),
        ("http://shop/items?q=%e9+x", "/items/?q=%E9+x"),
    ],
)
def test_it_may_be_written_in_several_ways(url: str, location: str) -> None:
    assert is_for_a_slash("GET", 301, url, location)


@pytest.mark.parametrize(
    "location",
    [
        "",
        HERE,
        "/",
        "/login/",
        "/login/?next=/items/",
        "/items/7/",
        "/items.json/?page=2",
        "/items/",  # without the query
        "/items/?page=3",
        "/items/?page=2&from=old",
        "/items/?page=2#top",
        "https://shop/items/?page=2",
        "http://shop:8080/items/?page=2",
        "http://www.shop/items/?page=2",
        "http://me@shop/items/?page=2",
        "//items/?page=2",
        "mailto:shop@example.com",
        "http://[::1/items/?page=2",  # no URL
    ],
)
def test_a_redirect_that_leads_elsewhere_is_not(location: str) -> None:
    assert not is_for_a_slash("GET", 301, HERE, location)


def test_the_way_from_a_form_that_did_its_work_to_a_page_is_not() -> None:
    assert is_for_a_slash("GET", 302, HERE, "/items/?page=2")
    assert not is_for_a_slash("POST", 302, HERE, "/items/?page=2")
    assert not is_for_a_slash("POST", 303, HERE, "/items/?page=2")


@pytest.mark.parametrize("status", [200, 201, 300, 303, 304, 404])
def test_a_status_after_which_the_same_is_not_asked_again_is_not(status: int) -> None:
    assert not is_for_a_slash("GET", status, HERE, "/items/?page=2")


segments = some.lists(some.text(some.characters(codec="utf-8"), min_size=1, max_size=4), max_size=4)


def path(parts: list[str], slashes: list[int]) -> str:
    """A path of these parts, with as many slashes before each of them, and at the end, as it is said."""
    return "".join(
        "/" * many + quote(part, safe="") for many, part in zip(slashes, [*parts, ""], strict=False)
    )


@given(segments, some.lists(some.integers(1, 3), min_size=5, max_size=5), some.sampled_from([0, 1, 2]))
def test_any_path_is_the_same_but_for_its_slashes(parts: list[str], slashes: list[int], end: int) -> None:
    slashes[len(parts)] = end
    asked = "/" + "/".join(quote(part, safe="") for part in parts)
    told = path(parts, slashes) or "/"
    if told.startswith("//"):
        told = f"http://shop{told}"

    same = urlsplit(told).path == asked
    assert is_for_a_slash("GET", 301, f"http://shop{asked}", told) == (not same)


@given(segments, segments)
def test_no_other_path_is(asked: list[str], told: list[str]) -> None:
    def flat(parts: list[str]) -> list[str]:
        return [each for part in parts for each in part.split("/") if each]

    location = "http://shop/" + "/".join(quote(part, safe="") for part in told) + "/"
    url = "http://shop/" + "/".join(quote(part, safe="") for part in asked)
    assert flat(asked) == flat(told) or not is_for_a_slash("GET", 301, url, location)


@given(some.text(), some.text())
def test_whatever_a_header_says_it_is_answered(url: str, location: str) -> None:
    assert is_for_a_slash("GET", 301, url, location) in (True, False)
