"""A stand-in for Togai on loopback. Users import it from ``togai_shipper.testing``.

    request -> server -> app -> key, quota -> script (a fault?) -> contract -> ledger -> reply

``fake`` is what a test holds: ``FakeTogai``; ``switches`` lists what it can choose. ``server`` serves real
HTTP from a thread, and ``app`` has the endpoints. ``credentials`` and ``quota`` say who is let in, and how
often; ``journal`` records each request; ``script`` says which of the ``faults`` it meets. ``ingestion``
judges events by ``contract``; ``ledger`` and ``settlement`` know what becomes of them, ``lookup`` reads it.
``replies`` and ``fault_replies`` make what is sent, and ``wire`` what no HTTP server sends on purpose.
"""
