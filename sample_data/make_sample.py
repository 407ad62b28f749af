"""Makes the sample slide, its truth and their manifest; run it from a checkout: ``python sample_data/make_sample.py``.

The slide is a phantom: nobody's tissue, so there is no patient and nobody's rights in it, and its tumours are known
exactly. The truth is the same whenever this runs; the slide's bytes may differ with the version of the JPEG library.
"""

import argparse
import hashlib
import json
import uuid
from pathlib import Path

from napari_gigaclf.annotations import Annotation, write_geojson
from napari_gigaclf.slides.phantom import PHANTOM_VERSION, PhantomSlide
from napari_gigaclf.slides.sample import SAMPLE_SLIDE, SAMPLE_TRUTH

SEED = 2015
"""No model is trained on this seed."""
SHAPE = (6144, 8192)
UM_PER_PX = 0.5
JPEG_QUALITY = 50
NAMESPACE = uuid.UUID("6f0d3f0a-52b5-4c1e-9d57-0c9f5b0e7a10")


def sample_slide() -> PhantomSlide:
    """Return the phantom the sample is made from."""
    return PhantomSlide(SEED, SHAPE, UM_PER_PX)


def truth(slide: PhantomSlide) -> list[Annotation]:
    """Return the tumours of the slide as annotations, always with the same ids."""
    counts: dict[str, int] = {}
    annotations = []
    for region in slide.truth():
        counts[region.kind] = counts.get(region.kind, 0) + 1
        name = f"{region.kind} {counts[region.kind]}"
        annotations.append(
            Annotation(
                geometry=region.polygon,
                class_name="Tumour",
                colour=(200, 0, 0),
                name=name,
                id=str(uuid.uuid5(NAMESPACE, f"{slide.id} {name}")),
                measurements={"area_um2": round(region.area_um2, 1)},
                metadata={"phantom_seed": str(slide.seed), "phantom_version": str(PHANTOM_VERSION)},
            )
        )
    return annotations


def manifest(folder: Path) -> dict[str, object]:
    """Return what is in a folder of sample data, and how it was made."""
    files = {}
    for name in (SAMPLE_SLIDE, SAMPLE_TRUTH):
        data = (folder / name).read_bytes()
        files[name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return {
        "made_by": "sample_data/make_sample.py",
        "licence": "BSD-3-Clause",
        "seed": SEED,
        "phantom_version": PHANTOM_VERSION,
        "shape": list(SHAPE),
        "um_per_px": UM_PER_PX,
        "jpeg_quality": JPEG_QUALITY,
        "files": files,
    }


def main() -> None:
    """Write the three files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(__file__).resolve().parent, help="where to write")
    folder = parser.parse_args().folder
    slide = sample_slide()
    slide.save(folder / SAMPLE_SLIDE, quality=JPEG_QUALITY)
    write_geojson(folder / SAMPLE_TRUTH, truth(slide))
    text = json.dumps(manifest(folder), indent=2)
    (folder / "manifest.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
