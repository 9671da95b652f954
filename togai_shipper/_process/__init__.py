"""How a process begins and ends, and what it may do.

- ``threads``, ``event_loop``: starting a thread from anywhere; waiting beside an event loop
- ``signals``: which of them our threads take, and with which the application's functions run
- ``this_process``, ``registry``, ``per_process``: which process this is, what it knows of, and what a forked
  child makes anew
- ``crowd``: how many threads are at work with requests at once
- ``exits``, ``sigterm``, ``forks``: its end, a signal that ends it, a fork in the middle of a commit
- ``boot``: the clock that counts on while the machine sleeps, and since when
- ``limits``: what this platform, or this interpreter, does not have
"""
