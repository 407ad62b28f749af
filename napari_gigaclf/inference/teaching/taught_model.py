"""Makes an ordinary model of what was taught: the trunk of the base model with the taught head, and a card of its own.

The head is one ``nn.Linear`` with the standardisation folded in. Whatever pooled the base model's cells is replaced by
"highest": taught is what single cells are, and a mean or a maximum over features of many cells is none of these.
"""

import dataclasses
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from napari_gigaclf.errors import ModelError
from napari_gigaclf.inference.teaching.checking import Check
from napari_gigaclf.inference.teaching.learning import Head
from napari_gigaclf.inference.teaching.lesson import Lesson
from napari_gigaclf.models.card import ModelCard
from napari_gigaclf.models.records import ConfigError

if TYPE_CHECKING:
    from napari_gigaclf.models import Classifier

VERSION = "1.0"


def taught_model(lesson: Lesson, head: Head, check: Check, base: "Classifier", name: str) -> "Classifier":
    """Return the base model with the taught head.

    Parameters
    ----------
    lesson
        What was taught.
    head
        What was learnt of it.
    check
        What cross-validation says of it.
    base
        The model whose features were taught on.
    name
        What the model is to be called.

    Raises
    ------
    ModelError
        The base model has other weights than those that made the features, or a head that is not linear; or the name
        cannot be one.
    """
    from napari_gigaclf.models.build import build_classifier

    _check_base(lesson, base)
    try:
        config = dataclasses.replace(
            base.config,
            name=name,
            version=VERSION,
            classes=tuple(each.name for each in head.classes),
            activation="softmax",
            pooling="highest",
            slide_answer=None,
            card=taught_card(lesson, head, check, base),
            golden=(),
        )
    except ConfigError as error:
        raise ModelError(f"the taught model: {error}") from error
    with torch.random.fork_rng(devices=[]):  # fresh weights, all replaced: the caller's random numbers stay
        model = build_classifier(config)
    model.normalise.load_state_dict(base.normalise.state_dict())
    model.trunk.load_state_dict(base.trunk.state_dict())
    linear = _linear(model)
    if tuple(linear.weight.shape) != head.weights.shape:
        raise ModelError(
            f"{base.name} has {linear.weight.shape[1]} features, the taught head reads {head.weights.shape[1]}"
        )
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(head.weights))
        linear.bias.copy_(torch.from_numpy(head.bias))
    return model.eval().requires_grad_(requires_grad=False)


def save_taught_model(lesson: Lesson, head: Head, check: Check, base: "Classifier", folder: Path) -> Path:
    """Write a model folder, named as the model is, and return its path.

    Raises
    ------
    ModelError
        See ``taught_model``.
    OutputError
        Something stands there already, or the folder cannot be written.
    """
    from napari_gigaclf.errors import OutputError
    from napari_gigaclf.models import save_model

    model = taught_model(lesson, head, check, base, folder.name)
    if folder.exists():
        raise OutputError(f"{folder}: exists already; give another name")
    save_model(model, folder)
    return folder


def taught_card(lesson: Lesson, head: Head, check: Check, base: "Classifier") -> ModelCard:
    """Return the card of the taught model. Names of slides are not in it: they may name patients."""
    counts = Counter(example.class_number for example in lesson.used)
    each = ", ".join(f"{taught.name} {counts[taught.number]}" for taught in head.classes)
    slides = len({example.slide_id for example in lesson.used})
    on = f"{slides} slide{'' if slides == 1 else 's'}"
    names = [taught.name for taught in head.classes]
    before = base.card
    measured = {} if check.accuracy is None else {"cross_validated_accuracy": round(check.accuracy, 4)}
    return dataclasses.replace(
        before,
        title=f"{', '.join(names)}: taught by clicks on {on}",
        summary=f"A linear head on the features of {base.name} {base.version}, taught by {sum(counts.values())} clicks "
        f"({each}) on {on}.",
        intended_use="Looking at slides like those it was taught on, to find more of the same.",
        not_for="Anything that a person does not look at again. Nobody has measured it on slides it was not taught on.",
        training_data=f"Taught by clicks on {on}: {each}. Features: {base.name} {base.version}, which was trained on: "
        f"{before.training_data}",
        weaknesses=(
            "It knows what its features know: what the base model cannot tell apart, clicks cannot teach.",
            "Its probabilities are not calibrated.",
            *before.weaknesses,
        ),
        measured={**measured, "examples_asked": float(check.num_asked), "examples": float(sum(counts.values()))},
        measured_with="cross-validation over the clicks when it was saved",
        slide_score=f"highest place of any class but {names[0]}, uncalibrated",
        positive_class=names[1] if len(names) == 2 else "",
    )


def _check_base(lesson: Lesson, base: "Classifier") -> None:
    if (base.name, base.version, base.sha256) != lesson.base.identity:
        raise ModelError(
            f"{lesson.base.source} is {base.name} {base.version} with the weights {base.sha256[:12] or '(none)'}; what "
            f"was taught is about {lesson.base.name} {lesson.base.version} with {lesson.base.sha256[:12] or '(none)'}: "
            "give back the weights that were there, or begin another lesson"
        )


def _linear(model: "Classifier") -> nn.Linear:
    """Return the one linear layer of a head."""
    layers = [module for module in model.head.modules() if isinstance(module, nn.Linear)]
    if len(layers) != 1:
        raise ModelError(f"{model.name} has a head of {len(layers)} linear layers; only one can be taught")
    return layers[0]
