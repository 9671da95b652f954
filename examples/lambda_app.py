"""AWS Lambda, metered: deliver before each invocation ends, for afterwards everything is frozen."""

from togai_shipper import Shipper
from togai_shipper.contrib.aws_lambda import flush_after

shipper = Shipper(flush_interval=1)


@flush_after(shipper=shipper)
@shipper.metered(
    "invocation",
    lambda call: call.arguments["event"]["requestContext"]["authorizer"]["account"],  # whom it has found
    {"count": 1},
    duration="took",
    # Lambda repeats what has failed under the same id: it is billed once.
    idempotency_key=lambda call: getattr(call.arguments["context"], "aws_request_id", None),
)
def handler(event, context):
    """Answer."""
    return {"statusCode": 200}
