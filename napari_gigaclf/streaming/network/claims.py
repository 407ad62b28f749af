"""What the code takes for granted about sizes, checked when an image's shape is known."""

from dataclasses import dataclass

from napari_gigaclf.errors import UnsupportedOperation
from napari_gigaclf.streaming.network.operations import Argument
from napari_gigaclf.streaming.network.sizes import ImageFacts, evaluated


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeClaim:
    """A size written in the code is what the engine took it for: that of an axis of space, say."""

    given: Argument
    """As the code has it: a number or an expression."""
    meant: Argument
    """As the engine read it."""
    refusal: str
    """What to say where they differ."""

    def check(self, image: ImageFacts) -> None:
        """Compare for an image.

        Raises
        ------
        UnsupportedOperation
            If they differ.
        """
        given, meant = evaluated(self.given, image), evaluated(self.meant, image)
        if given != meant:
            raise UnsupportedOperation(
                f"{self.refusal}: for an image of shape {image.shape} it has {given} where {meant} was read"
            )
