"""A simulated world: the real pipeline and spool, in virtual time, from a seed.

- ``scheduler``, ``locks``, ``kernel``: threads that are greenlets, and the operating system
- ``network``, ``weather``, ``togai``: what lies outside a machine
- ``disk``, ``process``: the machine
- ``plan``, ``actions``, ``world``: what happens
- ``judge``: what must hold
- ``shrink``, ``bugs``, ``__main__``: what is done with a seed that fails
"""
