"""Declare which augmentations preserve the labels of images in a given domain, and why."""

from dataclasses import dataclass, fields
from numbers import Real
from typing import Literal

from tlkeras.utils.validation import check_choice, check_number, invalid


@dataclass(frozen=True, kw_only=True)
class AugmentationPolicy:
    """The augmentations that preserve labels for images in a given domain.

    Attributes:
        why: Dictionary that maps setting names to reasons: one for each setting that is on, and one for each that is
            off when you might expect it to be on.
        horizontal_flip: Whether left and right may be swapped.
        vertical_flip: Whether top and bottom may be swapped.
        any_direction: Whether images may be rotated by any angle because no direction is "up".
        small_rotation: Largest rotation in either direction, in degrees.
        scale: Largest zoom in or out, as a fraction of the image size.
        aspect: Largest change in the width while the height stays the same, as a fraction of the width.
        crop: Largest shift, as a fraction of the side length; anything shifted out of the frame is lost.
        light: Largest change in brightness and contrast, as a fraction.
        color: Largest change in saturation, as a fraction. The hue changes by up to a tenth of this value.
        gray: Fraction of images converted to grayscale.
        blur: Fraction of images to blur (3 x 3 kernel).
        noise: Standard deviation of the pixel noise, as a fraction of the pixel value.
        channel_shuffle: Fraction of images whose color channels are shuffled (`RandomChannelShuffle`).
        jpeg: Fraction of images that are compressed, at a quality of 20 to 80 (`RandomJpegQuality`).
        grid_mask: Fraction of images in which squares on a grid are hidden (`GridMask`).
        erase: Fraction of images in which a rectangle of 2 to 20% of the area is replaced by noise.
        fill: How to fill the space that shifts and rotations leave empty: `"reflect"`, `"nearest"`, or a gray level in
            [0, 255].

    Raises:
        InputError: A setting is negative, a flag is not a boolean, or `fill` is not one of the values above.

    Example:

    >>> import dataclasses, tlkeras
    >>> numberplates = dataclasses.replace(tlkeras.augmentation_policy("document"), small_rotation=5, blur=0.3)
    >>> [type(layer).__name__ for layer in tlkeras.augmentation(numberplates)][:2]
    ['RandomRotation', 'RandomZoom']
    """

    why: dict[str, str]
    horizontal_flip: bool = False
    vertical_flip: bool = False
    any_direction: bool = False
    small_rotation: float = 0.0
    scale: float = 0.0
    aspect: float = 0.0
    crop: float = 0.0
    light: float = 0.0
    color: float = 0.0
    gray: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    channel_shuffle: float = 0.0
    jpeg: float = 0.0
    grid_mask: float = 0.0
    erase: float = 0.0
    fill: Literal["reflect", "nearest"] | float = "reflect"

    def __post_init__(self):
        if not isinstance(self.why, dict):
            raise invalid("why", self.why, "be a dict that maps settings to reasons; it may be empty")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(field.default, float):
                check_number(field.name, value, "[0, inf]")
            elif isinstance(field.default, bool):
                check_choice(field.name, value, (True, False))
        if self.fill not in ("reflect", "nearest") and not (isinstance(self.fill, Real) and 0 <= self.fill <= 255):
            raise invalid("fill", self.fill, "be 'reflect', 'nearest' or a gray level in [0, 255]")

    def __str__(self) -> str:
        """Write one line per setting: its name, its value and the reason."""
        names = [field.name for field in fields(self) if field.name not in ("why", "fill")]
        return "\n".join(
            f"{name:15}  {getattr(self, name)!s:5}  {self.why.get(name, '')}".rstrip()
            for name in names
            if getattr(self, name) or name in self.why
        )


POLICIES = {
    "photo": AugmentationPolicy(
        horizontal_flip=True, small_rotation=10, scale=0.2, crop=0.1, light=0.2, color=0.3, gray=0.1, erase=0.25,
        why={
            "horizontal_flip": "A mirrored scene is as likely as the scene itself, except for writing.",
            "vertical_flip": "Off: gravity shows in nearly every photograph.",
            "small_rotation": "Cameras are held at an angle.",
            "scale": "Distance varies.",
            "crop": "Framing varies.",
            "light": "Exposure varies.",
            "color": "White balance varies.",
            "gray": "The model should rely on shape where color is misleading.",
            "erase": "Objects hide behind others.",
        },
    ),
    "drawing": AugmentationPolicy(
        horizontal_flip=True, small_rotation=15, scale=0.2, crop=0.1, color=0.6, gray=0.2, fill=255.0,
        why={
            "horizontal_flip": "A drawing may face left or right.",
            "vertical_flip": "Off: drawn objects stand upright too.",
            "small_rotation": "Drawings lean.",
            "scale": "The margin is arbitrary.",
            "crop": "The position on the page is arbitrary.",
            "color": "Artists choose colors freely.",
            "gray": "Many drawings are black and white.",
            "light": "Off: paper is white, whatever the light.",
        },
    ),
    "document": AugmentationPolicy(
        small_rotation=3, scale=0.1, crop=0.05, light=0.2, gray=0.2, blur=0.2, noise=0.03, fill=255.0,
        why={
            "horizontal_flip": "Off: mirrored writing cannot be read.",
            "vertical_flip": "Off: nor can writing that is flipped upside down.",
            "small_rotation": "Pages are fed at an angle.",
            "scale": "Margins vary.",
            "crop": "Margins vary.",
            "light": "Scanners and lamps differ.",
            "gray": "Some scanners see no color.",
            "blur": "Focus varies.",
            "noise": "Sensors and paper have grain.",
        },
    ),
    "digits": AugmentationPolicy(
        small_rotation=10, scale=0.1, crop=0.1, light=0.1, noise=0.03, fill="nearest",
        why={
            "horizontal_flip": "Off: a mirrored 3 is not a 3, and a mirrored 2 looks like a 5.",
            "vertical_flip": "Off: flipped upside down, a 2 looks like a 5, too.",
            "small_rotation": "Handwriting slants; beyond about 45 degrees a 6 begins to look like a 9.",
            "scale": "Handwriting varies in size.",
            "crop": "The digit is rarely centered.",
            "light": "Ink is dark or pale.",
            "noise": "Sensors have grain.",
        },
    ),
    "xray": AugmentationPolicy(
        small_rotation=5, scale=0.1, crop=0.05, light=0.15, noise=0.03, fill=0.0,
        why={
            "horizontal_flip": "Off: the heart is on the left, and a marker says so.",
            "vertical_flip": "Off: nobody is X-rayed upside down.",
            "small_rotation": "Patients lean.",
            "scale": "Patients differ in size.",
            "crop": "Positioning varies.",
            "light": "Exposure varies.",
            "noise": "A low dose gives a noisy image.",
            "color": "Off: X-rays have no color.",
            "erase": "Off: a finding may be as small as the erased part.",
        },
    ),
    "microscopy": AugmentationPolicy(
        horizontal_flip=True, vertical_flip=True, any_direction=True, scale=0.1, crop=0.1, light=0.15, color=0.2,
        blur=0.2,
        why={
            "horizontal_flip": "A slide can be placed either way.",
            "vertical_flip": "A slide can be placed either way.",
            "any_direction": "A slide has no top or bottom.",
            "scale": "Cells vary in size; a larger change would imitate another magnification.",
            "crop": "The field of view is arbitrary.",
            "light": "Lamps differ.",
            "color": "Stains differ between laboratories.",
            "blur": "Focus varies.",
            "erase": "Off: the decisive detail may be as small as the erased part.",
        },
    ),
    "aerial": AugmentationPolicy(
        horizontal_flip=True, vertical_flip=True, any_direction=True, scale=0.2, crop=0.1, light=0.2, color=0.2,
        why={
            "horizontal_flip": "Seen from above, the ground has no left or right.",
            "vertical_flip": "Seen from above, the ground has no top or bottom.",
            "any_direction": "The flight direction is arbitrary.",
            "scale": "Altitude varies.",
            "crop": "Tiles are cut anywhere.",
            "light": "Sun and haze vary.",
            "color": "Seasons and sensors differ.",
        },
    ),
    "product": AugmentationPolicy(
        horizontal_flip=True, small_rotation=10, scale=0.2, crop=0.1, light=0.2, color=0.1, erase=0.1, fill=255.0,
        why={
            "horizontal_flip": "A shoe may face left or right in a catalog.",
            "vertical_flip": "Off: products stand upright.",
            "small_rotation": "Products are not placed exactly straight.",
            "scale": "Framing varies.",
            "crop": "Framing varies.",
            "light": "Studios differ.",
            "color": "Only slightly: products often differ only in color.",
            "erase": "Labels and hands hide parts.",
        },
    ),
    "face": AugmentationPolicy(
        horizontal_flip=True, small_rotation=10, scale=0.15, crop=0.08, light=0.25, color=0.2, gray=0.1, erase=0.1,
        why={
            "horizontal_flip": "Faces are nearly symmetric.",
            "vertical_flip": "Off: faces are upright.",
            "small_rotation": "Heads tilt.",
            "scale": "Distance varies.",
            "crop": "Face detectors frame loosely.",
            "light": "Lamps differ.",
            "color": "White balance varies; a larger change would alter the skin tone.",
            "gray": "Some cameras see no color.",
            "erase": "Glasses, masks and hands hide parts.",
        },
    ),
}  # fmt: skip


def augmentation_policy(domain: str) -> AugmentationPolicy:
    """Return the augmentation policy of a domain.

    Args:
        domain: `"photo"`, `"drawing"`, `"document"`, `"digits"`, `"xray"`, `"microscopy"`, `"aerial"`, `"product"` or
            `"face"`.

    Returns:
        An `AugmentationPolicy`. Print it to read the reason for each setting.

    Raises:
        InputError: `domain` is unknown.

    Example:

    >>> import tlkeras
    >>> tlkeras.augmentation_policy("xray").why["horizontal_flip"]
    'Off: the heart is on the left, and a marker says so.'
    """
    check_choice("domain", domain, sorted(POLICIES))
    return POLICIES[domain]
