"""What may be changed in the images of a domain without changing what they show, and why."""

from dataclasses import dataclass, fields
from numbers import Real
from typing import Literal

from tlkeras.errors import InputError


@dataclass(frozen=True, kw_only=True)
class AugmentationPolicy:
    """A declaration of what may be done to the images of a domain while their labels stay true.

    Attributes:
        why: the reason for each setting that is on, and for each symmetry that one might expect and that is off.
        horizontal_flip: left and right may be exchanged.
        vertical_flip: top and bottom may be exchanged.
        any_direction: nothing is "up". Turns by any angle, quarter turns among them.
        small_rotation: turns by up to this many degrees either way.
        scale: zooms in or out by up to this share.
        aspect: stretches or squeezes the width by up to this share.
        crop: shifts by up to this share of the side, so that a part is cut off.
        light: changes brightness and contrast by up to this share.
        color: changes saturation by up to this share, and hue by a tenth of it.
        gray: share of the images that lose their color.
        blur: share of the images that are blurred (3 x 3 pixels).
        noise: standard deviation of the pixel noise, as a share of the pixel's value.
        channel_shuffle: share of the images whose color channels change places (`RandomChannelShuffle`).
        jpeg: share of the images that are compressed, at a quality of 20 to 80 (`RandomJpegQuality`).
        grid_mask: share of the images of which a grid of squares is hidden (`GridMask`).
        erase: share of the images of which a rectangle of 2 to 20% is replaced by noise.
        fill: what appears behind an edge that moved in: `"reflect"`, `"nearest"`, or a gray level.

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
            raise InputError(f"why is a dict from settings to reasons, such as {{}}. Received: why={self.why!r}.")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(field.default, float) and not (isinstance(value, Real) and value >= 0):
                raise InputError(f"{field.name} is an amount, 0 or more. Received: {field.name}={value!r}.")
        if self.fill not in ("reflect", "nearest") and not (isinstance(self.fill, Real) and 0 <= self.fill <= 255):
            raise InputError(f"fill is 'reflect', 'nearest' or a gray level, 0 to 255. Received: fill={self.fill!r}.")

    def __str__(self) -> str:
        """Gives one line a setting: its name, its value, the reason."""
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
            "horizontal_flip": "The world seen in a mirror is as likely, but for writing.",
            "vertical_flip": "Off: gravity shows in nearly every photograph.",
            "small_rotation": "Cameras are held askew.",
            "scale": "Distance varies.",
            "crop": "Framing varies.",
            "light": "Exposure varies.",
            "color": "White balance varies.",
            "gray": "Shape should do where color misleads.",
            "erase": "Things are hidden behind others.",
        },
    ),
    "drawing": AugmentationPolicy(
        horizontal_flip=True, small_rotation=15, scale=0.2, crop=0.1, color=0.6, gray=0.2, fill=255.0,
        why={
            "horizontal_flip": "A drawing faces left or right as the artist pleases.",
            "vertical_flip": "Off: drawn things stand upright too.",
            "small_rotation": "Drawings lean.",
            "scale": "The margin is arbitrary.",
            "crop": "So is the place on the page.",
            "color": "Artists choose colors freely.",
            "gray": "Many drawings are black and white.",
            "light": "Off: paper is white, whatever the light.",
        },
    ),
    "document": AugmentationPolicy(
        small_rotation=3, scale=0.1, crop=0.05, light=0.2, gray=0.2, blur=0.2, noise=0.03, fill=255.0,
        why={
            "horizontal_flip": "Off: writing in a mirror is not writing.",
            "vertical_flip": "Off, for the same reason.",
            "small_rotation": "Pages are fed askew.",
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
            "vertical_flip": "Off, for the same reason.",
            "small_rotation": "Handwriting slants; beyond some 45 degrees a 6 nears a 9.",
            "scale": "Handwriting varies in size.",
            "crop": "The digit is rarely centered.",
            "light": "Ink is thick or thin.",
            "noise": "Sensors have grain.",
        },
    ),
    "xray": AugmentationPolicy(
        small_rotation=5, scale=0.1, crop=0.05, light=0.15, noise=0.03, fill=0.0,
        why={
            "horizontal_flip": "Off: the heart lies on the left, and a marker says so.",
            "vertical_flip": "Off: nobody is X-rayed upside down.",
            "small_rotation": "Patients lean.",
            "scale": "Patients differ in size.",
            "crop": "Positioning varies.",
            "light": "Exposure varies.",
            "noise": "A low dose is noisy.",
            "color": "Off: there is none.",
            "erase": "Off: a finding may be as small as the erased part.",
        },
    ),
    "microscopy": AugmentationPolicy(
        horizontal_flip=True, vertical_flip=True, any_direction=True, scale=0.1, crop=0.1, light=0.15, color=0.2,
        blur=0.2,
        why={
            "horizontal_flip": "A slide may lie either way.",
            "vertical_flip": "A slide may lie either way.",
            "any_direction": "A slide has no up.",
            "scale": "Cells vary in size; more would fake another magnification.",
            "crop": "The field of view is arbitrary.",
            "light": "Lamps differ.",
            "color": "Stains differ between laboratories.",
            "blur": "Focus varies.",
            "erase": "Off: what counts may be as small as the erased part.",
        },
    ),
    "aerial": AugmentationPolicy(
        horizontal_flip=True, vertical_flip=True, any_direction=True, scale=0.2, crop=0.1, light=0.2, color=0.2,
        why={
            "horizontal_flip": "Seen from above, the ground has no left.",
            "vertical_flip": "Seen from above, the ground has no up.",
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
            "horizontal_flip": "A shoe faces left or right in a catalogue.",
            "vertical_flip": "Off: products stand.",
            "small_rotation": "Products are laid down askew.",
            "scale": "Framing varies.",
            "crop": "Framing varies.",
            "light": "Studios differ.",
            "color": "Little: color often is what distinguishes products.",
            "erase": "Labels and hands hide parts.",
        },
    ),
    "face": AugmentationPolicy(
        horizontal_flip=True, small_rotation=10, scale=0.15, crop=0.08, light=0.25, color=0.2, gray=0.1, erase=0.1,
        why={
            "horizontal_flip": "Faces are nearly symmetric.",
            "vertical_flip": "Off: faces are upright, and networks know it.",
            "small_rotation": "Heads tilt.",
            "scale": "Distance varies.",
            "crop": "Face detectors frame loosely.",
            "light": "Lamps differ.",
            "color": "White balance varies; more would change the skin.",
            "gray": "Some cameras see no color.",
            "erase": "Glasses, masks and hands hide parts.",
        },
    ),
}  # fmt: skip


def augmentation_policy(domain: str) -> AugmentationPolicy:
    """Gives the policy of a domain: `"photo"`, `"drawing"`, `"document"`, `"digits"`, `"xray"`, and so on.

    Raises:
        InputError: no such domain; the message lists them.

    Example:

    >>> import tlkeras
    >>> tlkeras.augmentation_policy("xray").why["horizontal_flip"]
    'Off: the heart lies on the left, and a marker says so.'
    """
    if not (isinstance(domain, str) and domain in POLICIES):
        raise InputError(f"domain must be one of {', '.join(sorted(POLICIES))}. Received: {domain!r}.")
    return POLICIES[domain]
