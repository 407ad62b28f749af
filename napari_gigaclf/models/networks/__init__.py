"""Networks by name, with fresh weights: the built-in cell-net, those of the paper, and ResNets."""

from napari_gigaclf.models.networks.build import NETWORKS, Network, build

__all__ = ["NETWORKS", "Network", "build"]
