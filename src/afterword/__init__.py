"""Afterword closes the loop between an LLM application and its users.

Decorators log every call to a model as a generation and keep its data ID in context; middleware
hands that ID to the browser with a signed token; helper routes turn what people do next into
feedback on exactly that generation.
"""

from afterword.capture.annotations import annotate
from afterword.capture.generation import generation
from afterword.capture.providers import capture
from afterword.capture.signatures import Logged
from afterword.client import Client
from afterword.context import Trail, carry, current_data_id, last_data_id, trail
from afterword.default import (
    afeedback,
    aflush,
    aget,
    configure,
    default_client,
    feedback,
    flush,
    get,
    log,
    status,
)
from afterword.errors import (
    AfterwordError,
    ConfigError,
    DeliveryError,
    FeedbackRejected,
    InvalidInput,
    NoGenerationInContext,
    StoreError,
)
from afterword.model import (
    Feedback,
    FeedbackType,
    Generation,
    GenerationError,
    Label,
    Page,
    Status,
    Usage,
)
from afterword.prompting import Prompt, prompt

__all__ = [
    "AfterwordError",
    "Client",
    "ConfigError",
    "DeliveryError",
    "Feedback",
    "FeedbackRejected",
    "FeedbackType",
    "Generation",
    "GenerationError",
    "InvalidInput",
    "Label",
    "Logged",
    "NoGenerationInContext",
    "Page",
    "Prompt",
    "Status",
    "StoreError",
    "Trail",
    "Usage",
    "afeedback",
    "aflush",
    "aget",
    "annotate",
    "capture",
    "carry",
    "configure",
    "current_data_id",
    "default_client",
    "feedback",
    "flush",
    "generation",
    "get",
    "last_data_id",
    "log",
    "prompt",
    "status",
    "trail",
]
