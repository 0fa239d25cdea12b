"""Starting runs, waiting for them, sending to them, and asking about them."""

from __future__ import annotations
