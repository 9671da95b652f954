"""For how long an event that may be at Togai can be sent once more and still be billed once. Pure."""

from __future__ import annotations

DEDUPE_WINDOW = 40 * 86_400.0  # seconds; Togai forgets an id after 45 days, and would then bill it again
