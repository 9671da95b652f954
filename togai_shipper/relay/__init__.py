"""The relay: events of many hosts, handed over to a Redis, and delivered from there by one drainer.

    producer: track() -> ... -> batch -> entry -> ADD -> relayed
    drainer:  stream -> store -> ... -> outcome -> SETTLE

Each file knows those before it.

- ``errors`` (what can be wrong), ``entries`` (a batch in the stream), ``letters`` (a dead letter), ``url``
  (where it is), ``scripts`` (what Redis runs for us)
- ``link`` (the way to Redis; the only one that knows redis-py), ``dead_letters`` (by it, for operators)
"""
