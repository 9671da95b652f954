"""A stand-in for Togai on loopback. Users import it from ``togai_shipper.testing``.

    request -> server -> app -> key, quota -> script (a fault?) -> contract -> ledger -> reply

``fake`` is what a test holds: ``FakeTogai``; ``switches`` lists what it can choose. ``server`` serves real
HTTP from a thread, and ``app`` sends each request to its endpoint. ``credentials`` and ``quota`` say who is
let in, and how often; ``origin`` keeps other web pages out. ``journal`` records each request, and the
``event_outcome`` of each event; ``script`` says which of the ``faults`` it meets. ``replies`` and
``fault_replies`` make what is sent, and ``wire`` makes what no HTTP server sends on purpose.

Events come in: ``ingestion`` judges them by ``contract``, and ``settlement`` says in which of the
``statuses`` each ends, by what ``catalog_reading`` has read into a ``catalog``. The ``ledger`` keeps the
``books``: what is known of the ids (``known_ids``, by ``event_ids``), the ``records`` that are kept whole, by
``event_time``, the ``bill``, and a ``tally`` for the metrics.

They are looked up: ``lookups`` has the endpoints, which may meet ``lookup_faults``. ``event_lists`` are pages
(``paging``) of what ``scanning`` finds, each as ``record_view`` shows it; ``metrics`` counts, by
``metrics_contract``, ``metric_groups`` and ``periods``; ``organisation`` lists schemas and accounts;
``correction`` undoes events.

``page`` shows in a browser what comes, by a ``feed``, and ``fault_desk`` does what its buttons ask.
"""
