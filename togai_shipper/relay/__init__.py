"""The relay: events of many hosts, handed over to a Redis, and delivered from there by one drainer.

    producer: track() -> ... -> batch -> entry -> ADD -> relayed
    drainer:  stream -> store -> ... -> outcome -> SETTLE

Each file knows those before it.

- ``errors`` (what can be wrong), ``answers`` (what a relay says, as facts), ``entries`` (a batch in the
  stream), ``letters`` (a dead letter), ``url`` (where it is), ``names`` (whose is what is said
  there), ``scripts`` (what Redis runs for us)
- ``refusals`` (what redis-py raises), ``journal`` (what is counted as it leaves) and ``link`` (the way to
  Redis); but for ``refusals`` and ``link`` nobody knows redis-py
- a producer: ``notes`` (how it stands, as it says there; ``link`` knows them), ``hold`` (what Redis may yet
  lose), ``watch`` (whether somebody drains), ``hold_keeper`` (the thread for both), ``handover`` (what stands
  in Togai's place)
- a drainer: ``key_trial`` (whether Togai takes its key; ``link`` knows it), ``lease`` (who drains),
  ``lease_keeper`` (keeps it), ``leased`` (sends only while it is ours), ``reading`` (which entries are ours,
  and young enough), ``strangers`` (what is told of the others), ``shelf`` (which are in memory), ``reader``
  (reads on), ``losses`` and ``census`` (what Redis has lost), ``figures`` (looks for that), ``view`` (how all
  stands), ``stream`` (the store), ``drainer`` (puts it together)
- an operator: ``producers`` (what they say of themselves), ``dead_letters`` (takes some),
  ``journal_reading`` (what the journal says), ``survey`` (what ``doctor`` looks at)
"""
