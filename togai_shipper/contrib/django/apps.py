"""The application that ``INSTALLED_APPS`` names."""

from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings

import togai_shipper


class TogaiConfig(AppConfig):  # type: ignore[misc]  # Django has no types
    """Makes the default shipper when Django starts, with the ``"options"`` of ``settings.TOGAI``.

    In every process that does: servers, commands, tests. Without ``"options"`` the first event makes it, from
    the environment.
    """

    name = "togai_shipper.contrib.django"
    label = "togai_shipper"
    verbose_name = "Togai"

    def ready(self) -> None:
        """Make the default shipper; Django calls this once the settings are read.

        Raises:
            ConfigurationError: an option is missing or wrong.

        """
        options = getattr(settings, "TOGAI", {}).get("options")
        if options is not None:
            togai_shipper.configure(**options)
