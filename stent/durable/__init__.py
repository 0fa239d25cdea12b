"""The decorator, the object it gives, and what programs may call: all that a user's durable code touches."""

from __future__ import annotations
