"""The durable store: accepted events stay on disk until they are settled.

    track() -> gathering -> writer -> file -> buffer -> ... -> outcome -> shelf -> row removed, or dead letter

Each file knows those before it.

- one file: ``rows`` (what is kept of an event), ``tally`` (how many are alike), ``age`` (how old it is, by
  which clocks), ``errors``, ``opening`` (SQLite opens what was looked at), ``patience`` (how long a statement
  may run), ``connection``, ``schema``, ``dead_letters``, ``book`` and ``journal`` (what has left it),
  ``moves`` (what came into it from others, so that nothing comes twice), ``file``, ``snapshot`` (how much is
  in it)
- ``archive`` (the journals of processes that are gone), ``moving`` (what two files say of one piece)
- where it lies: ``ownership`` (whose directory may be a spool), ``leading`` (whose links lead there),
  ``making`` (what we make is one user's alone), ``claims`` (which process has which file), ``filesystems``
  (where a spool cannot be), ``folder``
- our own: ``wal`` (what SQLite writes beside it), ``disk`` (the file, if there is one), ``shelf`` (which
  event is where in it), ``holdings`` (what is counted), ``gathering`` (what is not written yet)
- others': ``requests`` (what an operator asks), ``orphan`` (one whose process is gone), ``handful`` (small
  ones, at once), ``stranded`` (what is not ours to send), ``adoption`` (the search for such),
  ``merging`` (of many small ones, where we end at once)
- ``news`` tells, ``recovery`` brings events back, ``upkeep`` sees to a file that fails, ``shrinking`` to one
  that was large
- ``writer`` is the thread, and the store
"""
