"""``togai-shipper spool``: look into a spool, and work with its dead letters, while the application runs.

    DIR -> source -> events -> selected events -> shown, written to a file, or a request to change them

``source`` is what all commands work with: a spool, or a relay (``relay_source``, with ``relay_reader``,
``relay_changes`` and ``relay_view``). ``directory`` opens a spool's DIR, ``files`` lists the files in it, and
``events`` reads every event in them.
``selection`` says which events a command is about, and ``verification`` whether a file is whole.
``change_request`` has dead letters replayed or deleted, here or by the process that owns their file.
``view`` puts files and events into words. The commands are in ``inspection`` (``ls``, ``show``, ``verify``),
``changes`` (``replay``, ``purge``) and ``export``; ``command`` is their group.
"""
