"""``togai-shipper send``: deliver the events of files, each billed once however often it is sent.

    files -> lines -> fields of an event -> an id -> track() -> results -> summary

``inputs`` opens files and standard input, and ``parsing`` reads their lines: NDJSON by ``line_fields``, CSV
by ``columns``. ``line_ids`` makes an id for a line that gives none. ``shipment`` tracks each line and waits
until all is settled; ``results`` counts what became of it, ``rejects`` keeps bad lines, ``progress`` shows
how it gets on, and ``summary`` is what is printed at the end. ``command`` has the options, and puts it
together.
"""
