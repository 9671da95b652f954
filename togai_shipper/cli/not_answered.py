"""The error of a command to which Togai gave no answer."""

from __future__ import annotations

import click


class NotAnswered(click.ClickException):
    """There is no answer, and why: nothing can be said by it."""

    exit_code = 3
