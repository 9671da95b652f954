"""The one place in which tests look behind the façade."""

from __future__ import annotations

from togai_shipper import Shipper
from togai_shipper._pipeline import Pipeline


def pipeline_of(shipper: Shipper) -> Pipeline:
    """What a shipper has in this process: its threads are nobody else's business."""
    return shipper._pipeline  # noqa: SLF001  the one place
