"""The durable buffer: accepted events stay on disk until they are settled.

``rows`` is what is kept of an event, ``file`` one SQLite file of rows, ``folder`` says whose file is whose.
"""
