"""Make mosaics: ``python -m napari_gigaclf.training.mosaics --tiles-train pcam-train.tar --output DIR --seed 1 ...``.

Writes slides, truth, ``cohort.csv`` and ``mosaics.json`` below DIR; see ``docs/experiments/mosaics.md``.
"""

import argparse
import hashlib
import logging
import sys
import time
from pathlib import Path
from typing import Any, get_args

from napari_gigaclf.errors import GigaclfError
from napari_gigaclf.training.mosaics.matching import NEAREST_SHARE
from napari_gigaclf.training.mosaics.pools import Pools
from napari_gigaclf.training.mosaics.settings import LESION_TILES, SPLITS, MosaicKind, MosaicSettings, Split
from napari_gigaclf.training.mosaics.tile_pools import make_pools
from napari_gigaclf.training.mosaics.writing import JPEG_QUALITY, check_numbers, write_set
from napari_gigaclf.training.tiles import read_tar
from napari_gigaclf.writing import check_writable

logger = logging.getLogger(__name__)


def main(arguments: list[str] | None = None) -> int:
    """Make a set; returns the exit status."""
    options = parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        _make(options)
    except GigaclfError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - the answer of a command
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    made = argparse.ArgumentParser(prog="python -m napari_gigaclf.training.mosaics", description=__doc__)
    default = MosaicSettings()
    add_pool_options(made)
    made.add_argument("--output", type=Path, required=True, help="folder for slides, truth and tables")
    made.add_argument("--kind", choices=get_args(MosaicKind), default=default.kind)
    made.add_argument("--size", type=int, default=default.side_px, help="side of a slide in pixels")
    for split in ("train", "tune", "test"):
        made.add_argument(f"--num-{split}", type=int, default=0, help="slides, an even number (twins)")
    made.add_argument("--lesions", nargs="+", choices=list(LESION_TILES), default=None, help="size classes, in turn")
    made.add_argument("--overlap", type=int, default=default.overlap_px, help="pixels that tiles blend over")
    made.add_argument("--stain", type=float, default=default.stain, help="how far stains vary between twins and twins")
    made.add_argument("--repeat-tiles", action="store_true", help="let background tiles repeat in a slide")
    made.add_argument("--quality", type=int, default=JPEG_QUALITY, help="JPEG quality of the slides")
    made.add_argument("--lossless", action="store_true", help="deflate in place of JPEG")
    return made


def add_pool_options(made: argparse.ArgumentParser) -> None:
    """Add what determines the tiles to choose from."""
    made.add_argument("--tiles-train", type=Path, required=True, help="tar archive of tiles for train and tune")
    made.add_argument("--tiles-test", type=Path, help="tar archive of tiles for test")
    made.add_argument("--tune-share", type=float, default=0.2, help="share of the first archive set aside for tune")
    made.add_argument(
        "--share", type=float, default=NEAREST_SHARE, help="share of tumour tiles to match, nearest first"
    )
    made.add_argument("--cache", type=Path, help="folder for decoded tiles")
    made.add_argument("--seed", type=int, default=0)


def pools_from(options: argparse.Namespace) -> Pools:
    """Read and match the archives."""
    start = time.perf_counter()
    train = read_tar(options.tiles_train, cache=options.cache)
    test = None if options.tiles_test is None else read_tar(options.tiles_test, cache=options.cache)
    pools = make_pools(train, test, tune_share=options.tune_share, seed=options.seed, share=options.share)
    for split, pool in pools.items():
        logger.info("%s: %d pairs, %d background tiles", split, len(pool.tumour), len(pool.background))
    logger.info("matched in %.0f s", time.perf_counter() - start)
    return pools


def pool_facts(options: argparse.Namespace, pools: Pools) -> dict[str, Any]:
    """Return what ``mosaics.json`` says of the tiles: archives, numbers, and a digest of who is paired with whom."""
    facts: dict[str, Any] = {
        "tiles_train": options.tiles_train.name,
        "tiles_test": None if options.tiles_test is None else options.tiles_test.name,
        "tune_share": options.tune_share,
        "share": options.share,
    }
    for split, pool in pools.items():
        digest = hashlib.sha256(b"".join(part.tobytes() for part in (pool.tumour, pool.sham, pool.background)))
        facts[f"pool_{split}"] = {
            "num_pairs": len(pool.tumour),
            "num_background": len(pool.background),
            "sha256": digest.hexdigest(),
        }
    return facts


def _make(options: argparse.Namespace) -> None:
    lesions = options.lesions or (("macro", "micro") if options.kind == "arrangement" else MosaicSettings().lesions)
    settings = MosaicSettings(
        kind=options.kind,
        side_px=options.size,
        lesions=tuple(lesions),
        overlap_px=options.overlap,
        stain=options.stain,
        repeat_tiles=options.repeat_tiles,
    )
    num_slides: dict[Split, int] = {"train": options.num_train, "tune": options.num_tune, "test": options.num_test}
    # Before minutes of matching:
    tiles = {"train": options.tiles_train, "tune": options.tune_share, "test": options.tiles_test}
    check_numbers(num_slides, {split for split in SPLITS if tiles[split]})
    check_writable(options.output)
    pools = pools_from(options)
    start = time.perf_counter()
    quality = None if options.lossless else options.quality
    facts = pool_facts(options, pools)
    table = write_set(settings, pools, num_slides, options.output, seed=options.seed, quality=quality, facts=facts)
    logger.info("%d slides in %.0f s: %s", sum(num_slides.values()), time.perf_counter() - start, table)


if __name__ == "__main__":
    sys.exit(main())
