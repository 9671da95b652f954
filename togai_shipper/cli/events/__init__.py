"""``togai-shipper events``: what Togai says of events, by their ids, or of those that it did not process.

``records`` writes a record for people and for programs, ``following`` tells what is new from minute to
minute, and ``command`` is the command.
"""
