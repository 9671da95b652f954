"""The one Django project of this process; each test file says by ``override_settings`` what it serves."""

from __future__ import annotations

import django
from django.conf import settings

settings.configure(ALLOWED_HOSTS=["*"], INSTALLED_APPS=["togai_shipper.contrib.django"])
django.setup()
