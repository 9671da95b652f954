"""``togai-shipper reconcile``: what was tracked on a day, and what became of it at Togai.

``facts`` is what is compared, ``verdict`` what is said of it, ``period`` the days, ``counting``
asks Togai, ``naming`` finds the very events, ``expectation`` and ``sources``
read our side, ``proving`` puts these together, ``table`` is what people read, and ``command`` the command.
"""
