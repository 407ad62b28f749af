"""Full float32 on NVIDIA GPUs: cuDNN by default rounds convolutions to 10 bits (TF32), which changes answers."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def full_precision(device_key: str) -> Iterator[None]:
    """Switch TF32 convolutions off while the block runs; the switch is one of the whole process and is put back.

    Parameters
    ----------
    device_key
        Torch's name of the device; only CUDA has the switch.
    """
    if not device_key.startswith("cuda"):
        yield
        return
    import torch

    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
