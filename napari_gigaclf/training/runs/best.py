"""The best model of a run: kept as a model folder with its card filled in, calibrated at the end."""

import dataclasses
from dataclasses import dataclass

import torch
from torch import nn

from napari_gigaclf.models import Classifier, load_model
from napari_gigaclf.models.checkpoint import save_model
from napari_gigaclf.models.normalise import Normalise
from napari_gigaclf.training.runs.folder import RunFolder
from napari_gigaclf.training.runs.networks import last_layer


@dataclass(frozen=True, slots=True, kw_only=True)
class BestModel:
    """The model folder of a run."""

    folder: RunFolder
    data: str
    """What was learnt from and tuned on, for the card."""
    command: str
    """Of the command line, such as "train"."""

    def write(
        self, model: Classifier, epoch: int, figures: dict[str, float], temperature: float | None = None
    ) -> None:  # fmt: skip
        """Write the model folder, its card filled in; only the process that writes does.

        Raises
        ------
        OutputError
            If it cannot be written; the one before stays.
        """
        if not self.folder.writes:
            return
        scale = next(part for part in model.modules() if isinstance(part, Normalise)).scale.flatten()
        note = "" if temperature is None else f"; calibrated, temperature {temperature:.3g}"
        card = dataclasses.replace(
            model.config.card,
            training_data=f"{self.data}{note}",
            measured={f"tuning {name}": value for name, value in figures.items()},
            measured_with=f"epoch {epoch} of a run of napari-gigaclf {self.command}",
        )
        spread = tuple(float(1 / value) for value in scale)
        model.config = dataclasses.replace(model.config, spread=spread, card=card)
        training = {name: module.training for name, module in model.named_modules()}
        save_model(model.eval(), self.folder.model)
        for name, module in model.named_modules():
            module.training = training[name]

    def read(self, device: torch.device) -> Classifier:
        """Return the best model so far."""
        return load_model(self.folder.model).to(device)


def divide_logits(head: nn.Module, temperature: float) -> None:
    """Divide a head's logits by a temperature (Guo et al. 2017), by its last layer's weights: nothing else changes."""
    last = last_layer(head)
    with torch.no_grad():
        last.weight.div_(temperature)
        if last.bias is not None:
            last.bias.div_(temperature)
