"""Raw ASGI apps of every kind and manner, good and bad, for the differential tests.

Each takes `answer`, a decorated function: what it gives must not show in what the app sends.
"""

from raw_apps import connections, headers, leaving, manners, responses, starlette_apps
from raw_apps.registry import APPS, Answer, App
from raw_apps.starlette_apps import with_base_middleware, with_compression

__all__ = [
    "APPS",
    "Answer",
    "App",
    "connections",
    "headers",
    "leaving",
    "manners",
    "responses",
    "starlette_apps",
    "with_base_middleware",
    "with_compression",
]
