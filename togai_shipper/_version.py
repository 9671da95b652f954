"""The version of the package: what it tells to servers, and what is written into spools."""

from __future__ import annotations

__version__ = "0.2.0"
