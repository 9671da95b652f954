"""The relay: events of many hosts, handed over to a Redis, and delivered from there by one drainer.

    producer: track() -> ... -> batch -> entry -> ADD -> relayed
    drainer:  stream -> store -> ... -> outcome -> SETTLE

Each file knows those before it.

- ``errors`` (what can be wrong), ``answers`` (what a relay says, as facts), ``entries`` (a batch in the
  stream), ``letters`` (a dead letter), ``url`` (where it is), ``scripts`` (what Redis runs for us)
- ``refusals`` (what redis-py raises) and ``link`` (the way to Redis); nobody else knows redis-py
- a producer: ``hold`` (what Redis may yet lose), ``watch`` (whether somebody drains), ``hold_keeper`` (the
  thread for both), ``handover`` (what stands in Togai's place)
- a drainer: ``lease`` (who drains), ``keeper`` (keeps the lease), ``leased`` (sends only while it is ours),
  ``reading`` (which entries are ours, and young enough), ``shelf`` (which of them are in memory), ``losses``,
  ``reader`` (reads on), ``view`` (how all stands), ``stream`` (the store), ``drainer`` (puts it together)
- an operator: ``dead_letters`` (takes some), ``survey`` (what ``doctor`` looks at)
"""
