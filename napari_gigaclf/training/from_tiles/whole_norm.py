"""Batch norm over a mini-batch that several processes share: mean and variance are those of the whole of it.

With n_r values of a channel in process r, their mean m_r and variance v_r, added up over processes in float64:

    n = sum n_r,    mean = sum n_r m_r / n,    variance = sum n_r (v_r + m_r^2) / n - mean^2

The sums are differentiable, so that gradients, too, pass between tiles of different processes. PyTorch's own
``SyncBatchNorm`` refuses tensors on the CPU (2.13).
"""

import torch
from torch import Tensor, nn

from napari_gigaclf.training.runs.workers import Workers


class WholeBatchNorm(nn.BatchNorm2d):
    """A batch norm that trains over all processes' tiles; weights and statistics are those of the one it stands for.

    Parameters
    ----------
    norm
        Stood for; it has a momentum, weights and running statistics.
    workers
        Who share mini-batches.
    """

    def __init__(self, norm: nn.BatchNorm2d, workers: Workers) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum)
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean, self.running_var = norm.running_mean, norm.running_var
        self.num_batches_tracked = norm.num_batches_tracked
        self.training = norm.training
        self._workers = workers

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return the normalised maps of this process's tiles."""
        if not self.training:
            return super().forward(x_BCHW)
        whole_BCHW = x_BCHW.to(self.weight.dtype)  # bfloat16 has too few digits for sums
        mean, variance, count = self._statistics(whole_BCHW)
        self._follow(mean.detach(), variance.detach(), count)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        shift = self.bias - mean * scale
        found = whole_BCHW * scale[:, None, None] + shift[:, None, None]
        return found.to(x_BCHW.dtype)

    def _statistics(self, x_BCHW: Tensor) -> tuple[Tensor, Tensor, float]:
        """Return mean and variance of each channel over the whole mini-batch, and of how many values they are."""
        own = x_BCHW.numel() // x_BCHW.shape[1]
        variance, mean = (part.double() for part in torch.var_mean(x_BCHW, dim=(0, 2, 3), correction=0))
        total = self._workers.sum_of(torch.cat([own * mean, own * (variance + mean * mean), mean.new_tensor([own])]))
        count = float(total[-1].detach())
        mean, square = (total[:-1] / count).chunk(2)
        return mean.to(self.weight), (square - mean * mean).clamp(min=0).to(self.weight), count

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, count: float) -> None:
        """Let the running statistics follow, as ``BatchNorm2d`` does: the variance as of a sample."""
        assert self.momentum is not None, "a cumulative average is not used in our networks"
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / max(count - 1, 1)), self.momentum)
        self.num_batches_tracked.add_(1)


def share_batch_norms(network: nn.Module, workers: Workers) -> None:
    """Let the batch norms of a network train over all processes' tiles; names and tensors of the state stay."""
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.BatchNorm2d:
                setattr(parent, name, WholeBatchNorm(child, workers))
