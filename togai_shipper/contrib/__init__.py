"""Togai in what applications are made with: a module for each, which imports what it is for.

- web frameworks: ``wsgi``, ``asgi`` (Starlette, FastAPI, Litestar, Quart), ``aiohttp``, ``flask``,
  ``django``; ``_http`` is what they share, ``_routes`` says which route a request has matched, ``_layers``
  how several around one request make one event, ``_slash`` which redirects are no work
- workers: ``celery``, ``rq``, ``aws_lambda``
- log records as usage events: ``logging``
- the figures of ``stats()`` as metrics: ``prometheus``, ``opentelemetry``; ``_figures`` names them
"""
