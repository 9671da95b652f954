"""What carries an event, from the buffer to its outcome. Each file knows those before it.

- shared by all: ``bell``, ``runtime`` (the world outside), ``shutdown`` (the end)
- pure rules: ``blanking`` (no secret in others' text), ``duplicates`` (whether a message says so),
  ``verdict`` (what a reply means), ``batching``, ``byte_cap`` (how long requests may be), ``settlement``
  (what becomes of each event)
- what is counted and told: ``telling``, ``waiters``, ``receipts``, ``ledger``, ``log``, ``callbacks``,
  ``reporting``
- who may send, and when: ``parking``, ``gate``
- where events wait in memory: ``buffer``
- who carries them: ``threads``, ``flushers``
- what keeps them beyond memory: ``store`` (the seam to what is durable)
- one request: ``key``, ``server_clock``, ``whole_reply`` (read strictly), ``exchange`` (its time, and how
  far it is), ``guarded_head`` (who may read it), ``timed_http`` (inside urllib3), ``certificates``,
  ``transport``
- where batches go: ``destination`` (the seam: Togai, or a relay)
- where all events wait: ``line`` (buffer, store, and who waits)
- one batch until its verdict: ``delivery``
- the shipper as a whole: ``parts``, ``health``, ``carrying`` (from the line, and back into it), ``closing``
"""
