"""How many of the labels that `check_images` suspects on clipart10 are wrong, beside picking images at random.

Truth is `data/clipart10/LABEL_NOISE.csv`, written by looking at all images before the suspects were known. Run from
the repository's root: `python benchmarks/label_suspects.py`.
"""

import csv
from pathlib import Path

import tlkeras

DATA = Path("data/clipart10")

report = tlkeras.check_images(DATA)
with (DATA / "LABEL_NOISE.csv").open() as file:
    verdict = {row["file"]: row["verdict"] for row in csv.DictReader(file)}
images = sum(report.images.values())
suspects = [finding.paths[0] for finding in report.of("suspect_label")]
print(f"{len(suspects)} suspects among {images} images")
for name, kinds in (("wrong", {"wrong"}), ("wrong or doubtful", {"wrong", "doubtful"})):
    bad = {path for path, kind in verdict.items() if kind in kinds}
    top = suspects[:20]
    precision, chance = len(bad & set(top)) / len(top), len(bad) / images
    print(
        f"{name}: precision at 20 {precision:.2f}, at random {chance:.2f}, ratio {precision / chance:.1f}; "
        f"found {len(bad & set(suspects))} of {len(bad)}"
    )
