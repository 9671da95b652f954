"""A stand-in for Temporal's server, which no package index has: it hands out activities, and no more."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.common.v1 import ActivityType, Payload, Payloads, WorkflowExecution
from temporalio.api.workflowservice.v1 import request_response_pb2 as messages
from temporalio.api.workflowservice.v1 import service_pb2_grpc as services

if TYPE_CHECKING:
    from typing_extensions import Self

LONG = Duration(seconds=60)
POLL = 1.0  # seconds that a worker waits for an activity


class Activities(services.WorkflowServiceServicer):  # type: ignore[misc]  # it is made by a generator
    """So many activities ``render("acme", n)``, for n from 1 on; in a ``with`` it serves at ``address``."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._to_do: queue.Queue[int] = queue.Queue()
        for number in range(1, count + 1):
            self._to_do.put(number)
        self._done: set[bytes] = set()
        self.all_done = threading.Event()
        self._server = grpc.server(ThreadPoolExecutor(20))
        services.add_WorkflowServiceServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(None)

    def GetSystemInfo(self, request: Any, context: Any) -> Any:  # noqa: N802  Temporal's names
        return messages.GetSystemInfoResponse(server_version="1.29.0")

    def DescribeNamespace(self, request: Any, context: Any) -> Any:  # noqa: N802  likewise
        return messages.DescribeNamespaceResponse()

    def ShutdownWorker(self, request: Any, context: Any) -> Any:  # noqa: N802  likewise
        return messages.ShutdownWorkerResponse()

    def PollActivityTaskQueue(self, request: Any, context: Any) -> Any:  # noqa: N802  likewise
        try:
            number = self._to_do.get(timeout=POLL)
        except queue.Empty:
            return messages.PollActivityTaskQueueResponse()
        now = Timestamp()
        now.GetCurrentTime()
        arguments = [_json(b'"acme"'), _json(b"%d" % number)]
        return messages.PollActivityTaskQueueResponse(
            task_token=b"%d" % number,
            workflow_namespace="default",
            workflow_execution=WorkflowExecution(workflow_id=f"workflow {number}", run_id=f"run {number}"),
            activity_type=ActivityType(name="render"),
            activity_id="1",
            input=Payloads(payloads=arguments),
            scheduled_time=now,
            current_attempt_scheduled_time=now,
            started_time=now,
            attempt=1,
            schedule_to_close_timeout=LONG,
            start_to_close_timeout=LONG,
        )

    def RespondActivityTaskCompleted(self, request: Any, context: Any) -> Any:  # noqa: N802  likewise
        self._done.add(request.task_token)
        if len(self._done) == self._count:
            self.all_done.set()
        return messages.RespondActivityTaskCompletedResponse()


def _json(text: bytes) -> Any:
    return Payload(metadata={"encoding": b"json/plain"}, data=text)
