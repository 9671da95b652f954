"""The durable store: accepted events stay on disk until they are settled.

    track() -> gathering -> writer -> file -> buffer -> ... -> outcome -> shelf -> row removed, or dead letter

Each file knows those before it. ``rows`` is what is kept of an event; ``errors``, ``connection``, ``schema``,
``dead_letters`` and ``file`` are one SQLite file. ``filesystems`` says where a spool cannot be, ``folder``
whose file is whose, ``disk`` is our own file and how it fares, ``shelf`` knows which event is where in it,
and ``holdings`` counts. ``gathering`` is what is not written yet, ``requests`` what an operator asks.
``orphan`` is a file whose process is gone, and ``adoption`` looks for such; ``news`` tells, ``recovery``
brings events back. ``writer`` is the thread, and the store.
"""
