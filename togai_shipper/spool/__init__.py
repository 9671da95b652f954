"""The durable store: accepted events stay on disk until they are settled.

    track() -> gathering -> writer -> file -> buffer -> ... -> outcome -> shelf -> row removed, or dead letter

Each file knows those before it.

- one file: ``rows`` (what is kept of an event), ``age`` (how old it is, by which clocks), ``errors``,
  ``opening`` (SQLite opens what was looked at), ``connection``, ``schema``, ``dead_letters``, ``file``
- where it lies: ``ownership`` (whose directory may be a spool), ``leading`` (whose links lead there),
  ``making`` (what we make is one user's alone), ``claims`` (which process has which file), ``filesystems``
  (where a spool cannot be), ``folder``
- our own: ``wal`` (what SQLite writes beside it), ``disk`` (the file, if there is one), ``shelf`` (which
  event is where in it), ``holdings`` (what is counted), ``gathering`` (what is not written yet)
- others': ``requests`` (what an operator asks), ``orphan`` (one whose process is gone), ``stranded`` (what
  is not ours to send), ``adoption`` (the search for such)
- ``news`` tells, ``recovery`` brings events back, ``upkeep`` sees to a file that fails
- ``writer`` is the thread, and the store
"""
