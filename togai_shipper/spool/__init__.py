"""The durable store: accepted events stay on disk until they are settled.

    track() -> writer -> disk -> buffer -> ... -> outcome -> shelf -> row removed, or buried

``rows`` is what is kept of an event, ``file`` one SQLite file of them, with its ``dead_letters``; ``schema``
is that file's format, ``connection`` all that knows SQLite, and ``errors`` what can be wrong with it.
``folder`` says whose file is whose, ``disk`` is our own file and how it fares, ``shelf`` which event is where
on it, ``adoption`` what becomes of the files of processes that are gone, ``requests`` what an operator asks,
and ``writer`` the thread that puts it together.
"""
