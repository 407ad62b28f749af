"""TF32 stays off while any run or question needs it off, and comes back as it was."""

import threading

import pytest
import torch

from napari_gigaclf.inference.precision import full_precision


@pytest.mark.parametrize("before", [True, False])
def test_blocks_on_two_threads_that_end_in_any_order(before, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", before)
    entered, leave = threading.Event(), threading.Event()

    def question():
        with full_precision("cuda:0"):
            entered.set()
            assert leave.wait(10)

    asking = threading.Thread(target=question)
    asking.start()
    assert entered.wait(10)
    with full_precision("cuda"):
        leave.set()
        asking.join()
        assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.allow_tf32 is before


def test_other_devices_have_no_such_switch():
    before = torch.backends.cudnn.allow_tf32
    with full_precision("cpu"):
        assert torch.backends.cudnn.allow_tf32 is before
