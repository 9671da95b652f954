"""``togai-shipper top``: how each process stands, again and again.

    DIR -> looking -> processes -> rates -> rows -> picture

``relay_looking`` reads how a relay stands as a whole.
``looking`` reads what is known of each process, without counting what waits in the files of living ones.
``rates`` tells from two reports of a process how much comes in and goes out. ``picture`` draws a line a
process, and one for all; ``command`` repeats it.
"""
