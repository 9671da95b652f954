"""``togai-shipper spool``: look into a spool, and work with its dead letters, while the application runs.

    DIR -> files -> events -> selected events -> shown, written to a file, or a request to change them

``directory`` opens DIR, ``files`` lists the files in it, and ``events`` reads every event in them.
``selection`` says which events a command is about, and ``verification`` whether a file is whole.
``change_request`` has dead letters replayed or deleted, here or by the process that owns their file.
``view`` puts files and events into words. The commands are in ``inspection`` (``ls``, ``show``, ``verify``),
``changes`` (``replay``, ``purge``) and ``export``; ``command`` is their group.
"""
