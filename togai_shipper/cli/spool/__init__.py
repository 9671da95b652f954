"""``togai-shipper spool``: look into a spool, and work with its dead letters, while the application runs.

    DIR -> source -> events -> selected events -> shown, written to a file, or a request to change them

``source`` is what all commands work with: a spool, or a relay (``relay_source``, with ``relay_reader``,
``relay_changes`` and ``relay_view``). ``directory`` opens a spool's DIR (and ``trial`` tries out one that
events are to be put into), ``files`` lists the files in it, and ``events`` reads every event in them.
``causes`` puts dead letters together that are dead for the same cause.
``selection`` says which events a command is about, and ``verification`` whether a file is whole.
``change_request`` has dead letters replayed or deleted, here or by the process that owns their file.
``view`` puts files and events into words. The commands are in ``inspection`` (``ls``, ``dead``, ``show``,
``verify``), ``changes`` (``replay``, ``purge``), ``export`` and ``journal``; ``command`` is their group.
"""
