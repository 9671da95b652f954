"""What Togai's specification lets a reply hold: nothing else, and all that is required.

Written after its ``openapi.yaml`` of 2024-09-16, to which its own clients for Python and Ruby hold replies.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictStr
from pydantic.alias_generators import to_camel

Id = Annotated[StrictStr, Field(max_length=50)]
Name = Annotated[StrictStr, Field(max_length=50, pattern=r"^[\sa-zA-Z0-9_-]*$")]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)


class Error(_Closed):
    message: Annotated[str, Field(max_length=500)]


# --- events -----------------------------------------------------------------------------------------------


class Attribute(_Closed):
    name: Annotated[str, Field(min_length=1, max_length=50)]
    value: Annotated[str, Field(pattern=r"^-?\d{1,512}(\.\d+)?$")]
    unit: Annotated[str, Field(min_length=1, max_length=50)] | None = None


class Event(_Closed):
    schema_name: Annotated[str, Field(min_length=1, max_length=50)]
    id: Annotated[str, Field(max_length=512)] | None = None
    timestamp: datetime
    account_id: Annotated[str, Field(max_length=512)]
    attributes: Annotated[list[Attribute], Field(max_length=10)]
    dimensions: dict[str, Annotated[str, Field(min_length=1, max_length=200)]]


class IngestionStatus(_Closed):
    status: Literal[
        "INGESTION_IN_PROGRESS",
        "INGESTION_FAILED",
        "INGESTION_FAILED_SCHEMA_NOT_DEFINED",
        "INGESTION_FAILED_ENRICHMENT_FAILED",
        "INGESTION_FAILED_UNITS_INVALID",
        "INGESTION_COMPLETED_NO_MATCHING_METERS",
        "INGESTION_COMPLETED_EVENT_METERED",
        "INGESTION_COMPLETED_EVENT_NOT_METERED",
        "INGESTION_FAILED_PAST_GRACE_PERIOD",
        "INGESTION_FAILED_ACCOUNT_NOT_FOUND",
        "INGESTION_FAILED_DUPLICATE_EVENT",
        "INGESTION_FAILED_NO_EVENT_ID",
        "INGESTION_FAILED_INVALID_NAMED_LICENSE_EVENT",
        "INGESTION_FAILED_INSUFFICIENT_CREDITS",
        "REVERTED",
        "UNKNOWN",
    ]
    status_description: Annotated[str, Field(max_length=250)] | None = None


class EventSource(_Closed):
    id: Annotated[str, Field(max_length=100)]
    type: Annotated[str, Field(max_length=100)]


class EventWithStatus(_Closed):
    reference_id: str
    event_payload: Event
    ingestion_status: IngestionStatus
    customer_id: Id | None = None
    source: EventSource | None = None
    created_at: datetime


class Events(_Closed):
    events: Annotated[list[EventWithStatus], Field(min_length=1, max_length=50)]
    next_token: Annotated[str, Field(max_length=500)] | None = None


class NameAndVersion(_Closed):
    name: str
    version: int


class Meter(NameAndVersion):
    id: str
    status: Literal["PROCESSED_FILTERED_OUT", "PROCESSED_UNITS_COMPUTED"]
    units: float | None = None


class IdAndName(_Closed):
    id: str
    name: str
    alias: str | None = None


class PipelineInfo(_Closed):
    event_schema: NameAndVersion | None = None
    usage_meters: list[Meter] | None = None
    account: IdAndName | None = None
    customer: IdAndName | None = None
    status_before_reverting: str | None = None


class EventInPipeline(EventWithStatus):
    event_pipeline_info: PipelineInfo


class SingleEvent(_Closed):
    events: list[EventInPipeline]


class Corrected(EventWithStatus):
    status: Literal["REVERTED", "REVERTED_AND_REINGESTED", "FAILED"]
    reason: str


class Corrections(_Closed):
    data: Annotated[list[Corrected], Field(min_length=1, max_length=50)]


# --- counts -----------------------------------------------------------------------------------------------


class GroupedBy(_Closed):
    field_name: str
    field_value: str


class Points(_Closed):
    grouped_by: GroupedBy | None = None
    timestamps: Annotated[list[datetime], Field(max_length=300)]
    metric_values: Annotated[list[float], Field(max_length=300)]


class MetricResult(_Closed):
    id: str
    name: Literal["EVENTS"]
    data: list[Points]


class Metrics(_Closed):
    results: list[MetricResult]


# --- schemas and accounts ---------------------------------------------------------------------------------


class PaginationOptions(_Closed):
    page_size: int | None = None
    sort_order: Literal["ASC", "DESC"] | None = None


class AttributeSchema(_Closed):
    name: Name
    default_unit: Annotated[str, Field(max_length=10)] | None = None


class DimensionSchema(_Closed):
    name: Name


class Schema(_Closed):
    name: Name
    description: Annotated[str, Field(max_length=255)] | None = None
    version: Annotated[int, Field(ge=1)]
    status: Literal["DRAFT", "ACTIVE", "INACTIVE", "ARCHIVED"] | None = None
    attributes: Annotated[list[AttributeSchema], Field(max_length=50)] | None = None
    dimensions: Annotated[list[DimensionSchema], Field(max_length=50)] | None = None
    filter_fields: list[str] | None = None
    enrichments: dict[str, Any] | None = None
    event_id_template: str | None = None
    event_level_revenue: bool | None = None
    usage_meters_count: int | None = None


class Schemas(_Closed):
    data: list[Schema]
    next_token: str | None = None
    context: PaginationOptions | None = None


class Alias(_Closed):
    alias: Id


class Account(_Closed):
    id: Id
    togai_account_id: str
    togai_customer_id: str
    name: Annotated[str, Field(min_length=3, max_length=255)]
    customer_id: str
    aliases: Annotated[list[Alias], Field(max_length=10)] | None = None
    status: Literal["ACTIVE", "DRAFT", "ARCHIVED"]


class Accounts(_Closed):
    data: list[Account]
    next_token: str | None = None
    context: PaginationOptions | None = None
