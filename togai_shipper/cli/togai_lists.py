"""What Togai lists: all pages of it, or in one line why there is no whole list."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import attrs

from togai_shipper._config import Config
from togai_shipper._engine.transport import NoSession, Transport, connected
from togai_shipper._engine.verdict import Reply, json_object
from togai_shipper._secret import Secret

from .not_answered import NotAnswered
from .togai_asked import LONGEST_WAIT, PATIENCE, TRIES, key_of, why_not

PAGE = 100  # objects: the most that Togai gives at once
MOST_PAGES = 100


@attrs.frozen
class TogaiLists:
    """Asks Togai for lists, with the key of ``config``."""

    config: Config
    connect: Callable[[Config], Transport] = connected
    pause: Callable[[float], object] = time.sleep

    def all_of(self, path: str, **query: str) -> Iterator[dict[str, Any]]:
        """Yield all objects that are listed at ``path``, page by page. Raises ``NotAnswered``."""
        asked = f"GET {path}"
        connection = self.connect(self.config)
        key = key_of(self.config)
        tokens: set[str] = set()
        query = {**query, "pageSize": str(PAGE)}
        try:
            for _ in range(MOST_PAGES):
                page = _page(asked, self._reply(connection, key, f"{path}?{urlencode(query)}"))
                yield from page["data"]
                token = page.get("nextToken")
                if not token:
                    return
                if not isinstance(token, str) or token in tokens:
                    raise NotAnswered(
                        f"{asked}: Togai's pages lead nowhere: the same nextToken again, or none"
                    )
                tokens.add(token)
                query["nextToken"] = token
            raise NotAnswered(f"{asked}: there are more than {MOST_PAGES * PAGE:,}, which are not all read")
        finally:
            connection.close()

    def _reply(self, connection: Transport, key: Secret[str], path: str) -> Reply:
        for last in (False,) * (TRIES - 1) + (True,):  # pragma: no branch  the last one breaks
            try:
                reply = connection.get(path, key, PATIENCE)
            except NoSession as error:
                raise NotAnswered(str(error)) from error
            if last or reply.status not in (429, 503):
                break
            self.pause(min(LONGEST_WAIT, reply.retry_after or 1.0))
        return reply


def _page(asked: str, reply: Reply) -> dict[str, Any]:
    """Return a page of a list. Raises ``NotAnswered``."""
    page = json_object(reply.body)
    why = why_not(reply)
    match reply.status:
        case 200 if page is None:
            why = "a page that is not Togai's"
        case 200 if page is not None and not reply.doubt:
            data = page.get("data")
            if isinstance(data, list) and all(isinstance(each, dict) for each in data):
                return page
            why = "the answer is not as Togai documents it: data is no list of objects"
    raise NotAnswered(f"{asked}: {why}")
