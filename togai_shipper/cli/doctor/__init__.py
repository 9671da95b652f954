"""``togai-shipper doctor``: look at all that delivery needs.

    environment -> server -> catalog -> relay -> spool -> packages -> the list of checks

``check`` is one line of the list. ``world`` is all that the doctor touches: the network, a clock, a disk.
``no_answer`` says why a request had none.
``environment_checks`` looks at the key and the options, ``server_checks`` at the way to the server and its
replies, ``catalog_checks`` at event schemas and accounts, ``lookup_checks`` at what can be read back from
Togai, ``relay_checks`` at the relay and its Redis,
``spool_checks`` at the directory and what is left behind in it, ``package_checks`` at the versions of what is
installed. ``bounded`` runs such a part, for so long at most and whatever it raises.
``command`` runs them all, and prints the list.
"""
