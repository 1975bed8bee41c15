"""The commands that help choose a backbone and a strategy before training: `rank` and `advise`."""

from typing import Annotated

import typer

from tlkeras.cli.terminal import Json, count, load_keras, print_json, say

Source = Annotated[
    str,
    typer.Argument(metavar="DIR", help="Folder with one subfolder of images per class; a table; or tfds:NAME."),
]
Backbones = Annotated[
    list[str] | None,
    typer.Option(
        "--backbone", metavar="NAME", help="Compare this backbone; repeat for several. Default: all on this machine."
    ),
]
MaxParams = Annotated[
    float | None, typer.Option(parser=count, metavar="COUNT", help="At most this many parameters, such as 5M.")
]
MaxMadds = Annotated[
    float | None,
    typer.Option(parser=count, metavar="COUNT", help="At most this many multiply-adds per image, such as 400M."),
]
MaxMs = Annotated[float | None, typer.Option(help="At most this many milliseconds per image on this machine.")]
MaxFileSize = Annotated[
    float | None, typer.Option(parser=count, metavar="BYTES", help="At most this many bytes of weights, such as 15M.")
]
ImageSize = Annotated[int | None, typer.Option(min=1, help="Side in pixels. Default: each backbone's own size.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed for the folds.")]
Verbose = Annotated[bool, typer.Option("--verbose/--quiet", help="Show progress on stderr.")]


def rank(
    source: Source,
    backbones: Backbones = None,
    blocks: Annotated[
        list[str] | None,
        typer.Option("--block", metavar="NAME", help="Compare this block; repeat for several. Default: all."),
    ] = None,
    max_params: MaxParams = None,
    max_madds: MaxMadds = None,
    max_ms: MaxMs = None,
    max_file_size: MaxFileSize = None,
    image_size: ImageSize = None,
    seed: Seed = 0,
    verbose: Verbose = True,
    as_json: Json = False,
):
    """Rank backbones and their blocks on your images, and report which are too close to call.

    Images in a test split are not used.
    """
    budgets = {"max_params": max_params, "max_madds": max_madds, "max_ms": max_ms, "max_file_size": max_file_size}
    chosen = _begin(source, backbones, blocks or "all", budgets, image_size, seed)
    from tlkeras.selection import rank as room

    answer = room.rank(source, chosen, blocks or "all", **budgets, image_size=image_size, seed=seed, verbose=verbose)
    print_json(answer.to_json()) if as_json else typer.echo(answer)


def advise(
    source: Source,
    backbones: Backbones = None,
    max_params: MaxParams = None,
    max_madds: MaxMadds = None,
    max_ms: MaxMs = None,
    max_file_size: MaxFileSize = None,
    image_size: ImageSize = None,
    seed: Seed = 0,
    verbose: Verbose = True,
    as_json: Json = False,
):
    """Recommend how to train on your images: which backbone to use and whether to fine-tune it, and why."""
    budgets = {"max_params": max_params, "max_madds": max_madds, "max_ms": max_ms, "max_file_size": max_file_size}
    chosen = _begin(source, backbones, "all", budgets, image_size, seed)
    from tlkeras.selection import advise as room

    answer = room.advise(source, chosen, **budgets, image_size=image_size, seed=seed, verbose=verbose)
    print_json(answer.to_json()) if as_json else typer.echo(answer)


def _begin(source, backbones, blocks, budgets, image_size, seed):
    """Check the arguments, print the backbones to compare, load Keras, and return the names of the backbones."""
    from tlkeras.selection.checks import check_choosing

    chosen = check_choosing(source, backbones or None, blocks, budgets, image_size, seed)
    say(f"Backbones: {', '.join(chosen)}")
    load_keras()
    return chosen
