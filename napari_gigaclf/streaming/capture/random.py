"""Dropout and stochastic depth: what is drawn, and that it does not depend on the tiles (:mod:`..network.dropout`)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_gigaclf.streaming.capture.calls import Call, Recognised, Recogniser
from napari_gigaclf.streaming.network.dropout import SEED, Alike, Dropout
from napari_gigaclf.streaming.network.operations import Argument, NodeRef

LIBRARIES = {
    "timm.layers.drop.DropPath": "drop_prob",
    "timm.models.layers.drop.DropPath": "drop_prob",
    "torchvision.ops.stochastic_depth.StochasticDepth": "p",
}
"""Modules of stochastic depth outside PyTorch, by the place of their class, with the name of their probability."""


def dropped(
    call: Call, source: Argument, p: Argument, alike: Alike, *, num_axes: int | None = None, scaled: bool = True
) -> Recognised:
    """Return the operation of an active dropout."""
    ref = call.any_map_of(source)
    if alike == "channel" and ref.seen is not None:
        call.map_of(source)  # refuses: it drops along the second axis, which is none of whole channels there
    if not isinstance(p, int | float) or not 0 <= p <= 1:
        raise call.refuse(f"its probability {p!r} is no number from 0 to 1", "give such a number")
    return Dropout(
        source=NodeRef(ref.index), seed=call.named(SEED), p=float(p), alike=alike, number=call.number, scaled=scaled,
        num_axes=num_axes, seen=ref.seen,
    )  # fmt: skip


def dropout(alike: Alike, num_axes: int | None = None) -> Recogniser:
    """Return the recogniser of a dropout; where it is switched off, it is another name for its input."""

    def recognise(call: Call) -> Recognised:
        names = {"train": False} if "train" in call.kwargs else {"training": True, "inplace": False}
        bound = call.bind("input", p=0.5, **names)
        if not bound.get("training", bound.get("train")) or bound["p"] in (0, None):
            return call.any_map_of(bound["input"])
        return dropped(call, bound["input"], bound["p"], alike, num_axes=num_axes)

    return recognise


def alpha_dropout(call: Call) -> Recognised:
    """Recognise alpha dropout that is switched off."""
    bound = call.bind("input", p=0.5, training=False, inplace=False)
    if bound["training"] and bound["p"]:
        raise call.refuse("active alpha dropout is not streamed", "call eval() on it, or use Dropout")
    return call.any_map_of(bound["input"])


def drop_path(call: Call) -> Recognised:
    """Recognise stochastic depth, which keeps or drops a sample, or the whole batch."""
    bound = call.bind("input", "p", "training", "mode", "scaled")
    if not bound["training"] or bound["p"] in (0, None):
        return call.any_map_of(bound["input"])
    alike: Alike = "batch" if bound["mode"] == "batch" else "sample"
    return dropped(call, bound["input"], bound["p"], alike, scaled=bool(bound["scaled"]))


def stochastic_depth_call(module: nn.Module) -> dict[str, Argument] | None:
    """Return the arguments of a module of stochastic depth from a known library; None for other modules."""
    kind = type(module)
    name = LIBRARIES.get(f"{kind.__module__}.{kind.__qualname__}")
    if kind.__module__.startswith("transformers.models.") and kind.__qualname__.endswith("DropPath"):
        name = "drop_prob"
    if name is None or not hasattr(module, name) or "forward" in module.__dict__:
        return None
    return {
        "p": getattr(module, name), "training": module.training, "mode": getattr(module, "mode", "row"),
        "scaled": getattr(module, "scale_by_keep", True),
    }  # fmt: skip


def function_table() -> dict[object, Recogniser]:
    """Return the recognisers of dropout functions."""
    table: dict[object, Recogniser] = {drop_path: drop_path}
    places: tuple[object, ...] = (torch, F)
    found: dict[str, Recogniser] = {
        "dropout": dropout("value"), "feature_dropout": dropout("channel"), "alpha_dropout": alpha_dropout,
        "feature_alpha_dropout": alpha_dropout, **{f"dropout{n}d": dropout("channel", n) for n in (1, 2, 3)},
    }  # fmt: skip
    for name, recogniser in found.items():
        functions: list[Callable[..., Tensor] | None] = [getattr(place, name, None) for place in places]
        table.update({function: recogniser for function in functions if function is not None})
    return table
