"""Which processor runs the network, by its real name, and why another one cannot.

A device that is asked for and cannot be used is an error with the reason; nothing falls back silently.
"""

import platform
from dataclasses import dataclass
from pathlib import Path

from napari_gigaclf.errors import GigaclfError


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A processor that can or cannot run a network."""

    key: str
    """Torch's name: ``"cpu"``, ``"cuda:0"``, ``"mps"``."""
    name: str
    """Name of the processor for a person."""
    free_bytes: int | None
    """Memory that is free now; None where it cannot be told."""
    why_not: str | None
    """Reason why it cannot be used; None if it can."""

    @property
    def usable(self) -> bool:
        """True if a network can run on it."""
        return self.why_not is None


def list_devices() -> tuple[Device, ...]:
    """Return every kind of device torch knows of here, usable or not, the fastest usable one first."""
    found = [*_cuda(), _mps(), _cpu()]
    return (*(d for d in found if d.usable), *(d for d in found if not d.usable))


def find_device(key: str = "auto") -> Device:
    """Return the device of a name.

    Parameters
    ----------
    key
        ``"auto"`` (the fastest usable one), ``"cpu"``, ``"cuda"``, ``"cuda:N"`` or ``"mps"``.

    Raises
    ------
    GigaclfError
        The device does not exist here or cannot be used; the text gives the reason and the devices there are.
    """
    devices = list_devices()
    if key == "auto":
        return devices[0]
    wanted = "cuda:0" if key == "cuda" else key
    found = next((d for d in devices if d.key == wanted), None)
    if found is not None and found.usable:
        return found
    usable = ", ".join(d.key for d in devices if d.usable)
    same_kind = next((d for d in devices if d.key.split(":")[0] == wanted.split(":")[0] and d.why_not), None)
    reason = same_kind.why_not if same_kind is not None else "there is no such device"
    raise GigaclfError(f"device {key!r} cannot be used: {reason}; usable here: {usable}")


def _cuda() -> list[Device]:
    """Return the CUDA (or ROCm) devices; one unusable entry with the reason where there is none."""
    import torch

    if not torch.cuda.is_available():
        return [Device(key="cuda:0", name="CUDA", free_bytes=None, why_not=_why_no_cuda())]
    devices = []
    for index in range(torch.cuda.device_count()):
        try:
            free, _ = torch.cuda.mem_get_info(index)
            name = torch.cuda.get_device_name(index)
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            devices.append(Device(key=f"cuda:{index}", name="CUDA", free_bytes=None, why_not=reason))
            continue
        devices.append(Device(key=f"cuda:{index}", name=name, free_bytes=free, why_not=None))
    return devices


def _why_no_cuda() -> str:
    """Say why torch sees no CUDA device."""
    import torch

    if torch.version.cuda is None and torch.version.hip is None:
        return f"this PyTorch ({torch.__version__}) is built for the CPU only"
    return "this PyTorch is built for CUDA, but it finds no usable GPU or driver"


def _mps() -> Device:
    """Return Apple's GPU, usable or not."""
    import torch

    why_not = None
    if platform.system() != "Darwin":
        why_not = "Apple GPUs exist on macOS only"
    elif not torch.backends.mps.is_built():
        why_not = "this PyTorch is built without MPS"
    elif not torch.backends.mps.is_available():
        why_not = "macOS 12.3 or later and an Apple GPU are needed"
    free = None if why_not else int(torch.mps.recommended_max_memory())
    return Device(key="mps", name="Apple GPU", free_bytes=free, why_not=why_not)


def _cpu() -> Device:
    """Return the processor itself."""
    import psutil

    return Device(key="cpu", name=_cpu_name(), free_bytes=int(psutil.virtual_memory().available), why_not=None)


def _cpu_name() -> str:
    """Return the processor's marketing name where the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
