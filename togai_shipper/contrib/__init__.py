"""Togai in what applications are made with: a module for each, which imports what it is for.

- web frameworks: ``wsgi``, ``asgi`` (Starlette, FastAPI), ``flask``, ``django``; ``_http`` is what they share
- workers: ``celery``, ``aws_lambda``
- log records as usage events: ``logging``
- the figures of ``stats()`` as metrics: ``prometheus``, ``opentelemetry``; ``_figures`` names them
"""
