from .errors import InputError as InputError
from .images.folder import ImageSplit as ImageSplit
from .images.folder import ImageSplits as ImageSplits
from .images.folder import SkippedFile as SkippedFile
from .images.folder import load_images as load_images
from .images.reading import ImageError as ImageError
from .images.reading import read_image as read_image
from .images.reading import read_images as read_images
