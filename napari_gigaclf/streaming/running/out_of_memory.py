"""Tells whether an error means that memory ran out, so that smaller tiles may help."""

import errno

import torch

_WORDS = ("can't allocate memory", "not enough memory", "out of memory", "could not create a primitive")
"""What PyTorch's allocators say, on the CPU in a plain RuntimeError, and oneDNN where there is no room for its code.

oneDNN may mean something else; then the same error comes again with smaller tiles, and is raised in the end.
"""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether memory ran out, on the processor or an accelerator."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _WORDS)


def free_cached(device: torch.device) -> None:
    """Give back what an accelerator's allocator keeps for later."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
