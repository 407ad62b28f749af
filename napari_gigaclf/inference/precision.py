"""Full float32 on NVIDIA GPUs: cuDNN by default rounds convolutions to 10 bits (TF32), which changes answers."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_inside = 0
"""Blocks that run now, on any thread."""
_before = True
"""The switch as the first of them found it."""


@contextmanager
def full_precision(device_key: str) -> Iterator[None]:
    """Keep TF32 convolutions off while the block runs.

    The switch is one of the whole process: a run and a question may need it at once, on threads of their own. The first
    block switches it off, and the last one to end puts it back.

    Parameters
    ----------
    device_key
        Torch's name of the device; only CUDA has the switch.
    """
    global _inside, _before
    if not device_key.startswith("cuda"):
        yield
        return
    import torch

    with _lock:
        if not _inside:
            _before, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, False
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                torch.backends.cudnn.allow_tf32 = _before
