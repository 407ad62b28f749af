import pytest
import torch

from napari_gigaclf.errors import GigaclfError
from napari_gigaclf.inference import find_device, list_devices


def test_the_processor_is_there_by_its_real_name():
    device = find_device("cpu")
    assert device.usable
    assert device.name
    assert device.free_bytes > 1e8


def test_every_device_is_usable_or_says_why_not():
    devices = list_devices()
    assert {device.key.split(":")[0] for device in devices} >= {"cpu", "cuda", "mps"}
    assert all(device.usable or len(device.why_not) > 10 for device in devices)
    assert devices[0].usable
    assert find_device("auto") == devices[0] or find_device("auto").key == devices[0].key


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
@pytest.mark.parametrize("key", ["cuda", "cuda:0", "cuda:3"])
def test_an_absent_device_is_refused_with_the_reason(key):
    with pytest.raises(GigaclfError, match=f"device '{key}' cannot be used: this PyTorch .*; usable here: .*cpu"):
        find_device(key)


def test_an_unknown_device():
    with pytest.raises(GigaclfError, match="no such device"):
        find_device("tpu")
