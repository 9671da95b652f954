"""What carries an event, from the buffer to its outcome. Each file knows those before it.

- shared by all: ``bell``, ``runtime`` (the world outside), ``shutdown`` (the end)
- pure rules: ``blanking`` (no secret in others' text), ``duplicates`` (whether a message says so),
  ``verdict`` (what a reply means), ``batching``, ``byte_cap`` (how long requests may be),
  ``dedupe_window`` (how long an id is known), ``lane_part`` (how much the lane holds), ``settlement``
  (what becomes of each event), ``causes`` (why events are rejected, by what they share)
- what is counted and told: ``telling``, ``waiters``, ``receipt`` (a light future), ``receipts``,
  ``effort`` (what finding culprits costs), ``ledger``, ``log``, ``callbacks``, ``reporting``
- who may send, and when: ``parking``, ``gate``
- where events wait in memory: ``waiting`` (in a line, or for their time), ``lane`` (those that are
  rejected for what they share), ``lane_entry`` (what goes there), ``unlike`` (what a parked line is probed
  with), ``buffer``
- who carries them: ``threads``, ``flushers``
- how a process stands, as others are told: ``self_report`` (the facts), ``saying`` (when)
- what keeps them beyond memory: ``store`` (the seam to what is durable), ``rounds`` (how its thread works)
- one request: ``key``, ``server_clock``, ``whole_reply`` (read strictly), ``progress`` (how far it is),
  ``exchange`` (its time), ``guarded_head`` (who may read it), ``timed_http`` (inside urllib3), ``no_reply``
  (why there is none), ``certificates``, ``transport``
- where batches go: ``destination`` (the seam: Togai, or a relay)
- where all events wait: ``line`` (buffer, store, and who waits)
- one batch until its verdict: ``delivery``
- what time it is at Togai, where that alone is wanted: ``asking``
- what becomes of events after that: ``look_ups`` (what Togai's reply to one means), ``sampling`` (which
  events are looked up, and when), ``findings`` (what is counted and told), ``verifying`` (the thread)
- the shipper as a whole: ``parts``, ``health``, ``carrying`` (from the line, and back into it), ``closing``
"""
