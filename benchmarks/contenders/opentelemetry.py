"""opentelemetry-sdk, as log records over OTLP/HTTP: a time is stamped, no id; 500 events a call."""

from __future__ import annotations

from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource

from . import ACCOUNT, PROPERTIES, ROOM, SCHEMA, Contender, Value


def start(url: str, in_flight: int, folder: str) -> Contender:  # noqa: ARG001  one sender, no disk
    """One that runs."""
    provider = LoggerProvider(Resource.create({"service.name": "api"}))
    exporter = OTLPLogExporter(endpoint=f"{url}/v1/logs")
    provider.add_log_record_processor(
        BatchLogRecordProcessor(exporter, max_queue_size=ROOM, max_export_batch_size=500)
    )
    logger = provider.get_logger("usage")
    attributes: dict[str, Value] = {"account": ACCOUNT, **PROPERTIES}

    def finish() -> None:
        provider.force_flush()  # has no bound, where shutdown() would drop what is left after 30 s
        provider.shutdown()

    return lambda: logger.emit(event_name=SCHEMA, attributes=attributes), finish
