"""Checkpoints as they appear: each new one of a running training is measured, judged and kept."""

from evalkit.watching.watch import Watching, watch

__all__ = ["Watching", "watch"]
