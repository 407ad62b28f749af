"""How far tiles are changed in training; see ``augment``. No torch in here."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """How far tiles are changed; each number is the half width of a uniform draw.

    Raises
    ------
    ValueError
        If a number makes no sense.
    """

    shift_px: int = 4
    """Translation; the edge is mirrored."""
    turn_degrees: float = 0.0
    """Rotation about the centre, after one of eight exact turns; the edge is mirrored."""
    zoom: float = 0.0
    """Factor of size about the centre, around 1."""
    stain: float = 0.25
    """Factor of each stain's concentration, around 1."""
    stain_hue: float = 0.0
    """Added to each stain's absorption in red, green and blue (unit vectors)."""
    brightness: float = 0.12
    """Factor of intensity, around 1."""
    contrast: float = 0.2
    """Factor of the distance from the tile's mean, around 1."""
    saturation: float = 0.25
    """Factor of the distance from grey, around 1."""
    tint: float = 0.06
    """Factor of each colour channel, around 1."""
    sharpness: float = 0.5
    """Detail (image minus its 3 x 3 mean) added or taken away."""

    def __post_init__(self) -> None:
        if self.shift_px < 0 or not 0 <= self.turn_degrees <= 180 or not 0 <= self.stain_hue <= 0.5:
            raise ValueError("shift_px must be 0 or more, turn_degrees 0 to 180, stain_hue 0 to 0.5")
        factors = {
            name: getattr(self, name) for name in ("zoom", "stain", "brightness", "contrast", "saturation", "tint")
        }
        for name, factor in factors.items():
            if not 0 <= factor < 1:
                raise ValueError(f"{name} must be 0 or more and below 1, not {factor}")
        if not 0 <= self.sharpness <= 2:
            raise ValueError(f"sharpness must be 0 to 2, not {self.sharpness}")
