"""A simulated world: the real pipeline and spool, in virtual time, from a seed.

- ``scheduler``, ``locks``, ``kernel``: threads that are greenlets, and the operating system
- ``network``, ``weather``, ``togai``: what lies outside a machine
- ``disk``, ``process``: the machine
- ``redis_server``, ``redis_client``, ``drainer``: a relay, what reaches it, and who drains it
- ``plan``, ``relay_plan``, ``actions``, ``world``: what happens
- ``judge``, ``relay_judge``: what must hold
- ``shrink``, ``bugs``, ``__main__``: what is done with a seed that fails
"""
