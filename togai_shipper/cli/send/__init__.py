"""``togai-shipper send``: deliver the events of files, each billed once however often it is sent.

    files -> lines -> fields of an event -> an id -> track() -> results -> summary

``chosen`` says which inputs there are, by ``file_names`` and ``packed_copies``. ``inputs`` opens them, each
as it was when the command began (``snapshot``), by ``streams``, which unpacks what ``file_kinds``
recognises. ``parsing`` reads the lines: NDJSON by ``json_fields`` (what a line says by itself is in
``line_fields``, what ``--map`` says by ``json_paths``), CSV by ``columns``, whose ``headers`` and
``delimiters`` stand at its beginning. To both ``event_fields`` says which fields there are and what
``--map`` means, ``timestamps`` reads times, and what is no event is a ``bad_line``. ``json_objects`` finds
the objects of JSON that is not one a line, and ``first_lines`` says where all is bad. ``line_ids`` makes an
id for a line that gives none, by how often it has come before, which ``occurrences`` counts: in memory, and
in a file by ``counts_on_disk``. ``shipment`` tracks each line and waits until all is settled; ``results``
counts what became of it, ``rejects`` keeps bad lines, ``catalog_warnings`` tells what Togai would not bill,
``progress`` shows how it gets on, and ``summary`` is what is printed at the end. ``state`` says where
things are kept, and ``keeping`` whether they are. ``sending`` does all of that, and ends early at a signal.
``command`` has the options, and puts it together.

The ids of a job's lines are in a record, so that none is taken for what was sent before: ``recorded`` keeps
it around a command, ``claiming`` takes the ids or refuses, by ``meaning``, ``file_identity`` and ``earlier``,
which are pure; ``job_record`` is on disk, and ``jobs`` shows it.
"""
