"""The web layer: middleware, feedback routes, tokens (layer 5).

.. code-block:: python

    app = Starlette(
        routes=[Route("/chat", chat), Mount("/feedback", routes=feedback_routes())],
        middleware=[Middleware(FeedbackMiddleware)],
    )
"""

from afterword.asgi.issuing import handle, sse_event
from afterword.asgi.limits import Limits
from afterword.asgi.links import link
from afterword.asgi.middleware import FeedbackMiddleware
from afterword.asgi.routes import feedback_app, feedback_routes

__all__ = [
    "FeedbackMiddleware",
    "Limits",
    "feedback_app",
    "feedback_routes",
    "handle",
    "link",
    "sse_event",
]
