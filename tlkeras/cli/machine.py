"""The commands that report what is available on this machine: `backbones`, `doctor`, `cache`."""

import contextlib
import shutil
from typing import Annotated

import typer

from tlkeras.cli.terminal import Json, count, load_keras, print_json, say, short_count
from tlkeras.errors import InputError


def backbones(
    pattern: Annotated[
        str | None, typer.Argument(help="Pattern that the names must match, such as 'mobilenet*'.")
    ] = None,
    family: Annotated[str | None, typer.Option(help="Only this family.")] = None,
    max_params: Annotated[
        float | None, typer.Option(parser=count, metavar="COUNT", help="At most this many parameters, such as 5M.")
    ] = None,
    max_madds: Annotated[
        float | None,
        typer.Option(parser=count, metavar="COUNT", help="At most this many multiply-adds per image, such as 400M."),
    ] = None,
    min_top1: Annotated[
        float | None, typer.Option(min=0, max=1, help="At least this ImageNet top-1 accuracy, such as 0.75.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Only those whose weights are on this machine.")] = False,
    as_json: Json = False,
):
    """List the backbones, with their size, cost and ImageNet accuracy."""
    from tlkeras.backbones.catalog import backbone_info, list_backbones

    names = list_backbones(
        pattern,
        family=family,
        max_params=max_params,
        max_madds=max_madds,
        min_top1=min_top1,
        offline=offline or None,
    )
    rows = [backbone_info(name) for name in names]
    if as_json:
        print_json({"backbones": [_catalog_row(row) for row in rows]})
        return
    if not rows:
        widened = f"; use wildcards for a broader match: '*{pattern}*'" if pattern and "*" not in pattern else ""
        say(f"No backbone meets these conditions{widened}.")
        return
    width = max(len(row.name) for row in rows)
    typer.echo(f"{'name':<{width}}  params  size  madds  top-1  offline")
    for row in rows:
        columns = (
            f"{row.name:<{width}}",
            f"{short_count(row.parameters):>6}",
            f"{row.default_size:>4}",
            f"{short_count(row.multiply_adds):>5}",
            f"{'-' if row.top1 is None else format(row.top1, '.3f'):>5}",
            f"{'yes' if row.offline else 'no':>7}",
        )
        typer.echo("  ".join(columns))


def doctor(as_json: Json = False):
    """Check that this machine can run the notebooks: packages, memory, weights, speed.

    The exit status is 1 if the machine cannot run them. The line `notebooks` covers only what the notebooks require. If
    that is the only line that fails, tlkeras itself works.
    """
    from tlkeras.teaching.doctor import examine

    with contextlib.suppress(Exception):  # the diagnosis reports the reason
        load_keras()
    diagnosis = examine()
    if as_json:
        print_json(diagnosis.to_json())
    else:
        typer.echo(diagnosis)
    if not diagnosis.ok:
        raise typer.Exit(1)


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Delete all cached data. It can be recomputed.")] = False,
    limit: Annotated[
        float | None, typer.Option(min=0, help="Maximum size of cached features in gigabytes, from now on.")
    ] = None,
    as_json: Json = False,
):
    """Show the features and exported networks that are cached on disk.

    To move or disable the cache, set `$TLKERAS_CACHE` to a folder or to `off`.
    """
    from tlkeras.utils.store import DiskStore, cache_folder

    folder = cache_folder()
    if folder is None:
        raise InputError("The cache is disabled, because TLKERAS_CACHE is 'off'. Set it to a folder, or unset it.")
    store, networks = DiskStore(folder), folder / "networks"
    if limit is not None:
        store.limit = int(limit * 1e9)
    if clear:
        store.clear()
        shutil.rmtree(networks, ignore_errors=True)
    exported = sum(path.stat().st_size for path in networks.rglob("*") if path.is_file())
    found = {
        "folder": str(folder),
        "entries": len(store),
        "bytes": store.size,
        "limit": store.limit,
        "networks_bytes": exported,
    }
    store.close()
    if as_json:
        print_json(found)
    else:
        typer.echo(f"Folder:    {folder}")
        typer.echo(
            f"Features:  {found['entries']} entries, {found['bytes'] / 1e6:.1f} MB of {found['limit'] / 1e6:.0f} MB"
        )
        typer.echo(f"Networks:  {exported / 1e6:.1f} MB")


def _catalog_row(info):
    return {key: value for key, value in vars(info).items() if key != "sources"} | {
        "offline": info.offline,
        "sources": dict(info.sources),
    }
