"""Chart of a comparison: time, size and agreement of each file."""

import matplotlib.pyplot as plt

_MARKS = {"litert": "o", "onnx": "s", "openvino": "D", "saved_model": "^"}
_SHADES = {
    "none": "#222222",
    "float16": "#7b6fb3",
    "int8": "#1b8a6b",
    "dynamic_int8": "#d0892c",
    "full_int8": "#a8323e",
}


def comparison_figure(rows):
    """Draw the time per image, the size and the agreement of each file, with the fastest at the top.

    Args:
        rows: `tlkeras.exporters.comparing.Comparison`, or a list of dicts with the same keys as its rows.

    Returns:
        `matplotlib.figure.Figure`.
    """
    drawn = [row for row in rows if "refused" not in row]
    threads = sorted({key for row in drawn for key in row if key.startswith("ms_")}, key=lambda key: int(key[3:]))
    drawn.sort(key=lambda row: row[threads[0]], reverse=True)
    names = [f"{row['format']}, {'float32' if row['quantization'] == 'none' else row['quantization']}" for row in drawn]
    figure, axes = plt.subplots(1, 3, figsize=(11, 1.2 + 0.34 * len(drawn)), sharey=True, layout="constrained")
    for place, row in enumerate(drawn):
        color = _SHADES[row["quantization"]]
        axes[0].barh(place, row[threads[0]], color=color, height=0.7)
        for key in threads[1:]:
            axes[0].plot(row[key], place, "|", color="white", markersize=14, markeredgewidth=3.5)
            axes[0].plot(row[key], place, "|", color="black", markersize=14, markeredgewidth=1.5)
        axes[0].text(row[threads[0]], place, f" {row[threads[0]]:.1f}", va="center", fontsize=8)
        axes[1].barh(place, row["bytes"] / 1e6, color=color, height=0.7)
        axes[1].text(row["bytes"] / 1e6, place, f" {row['bytes'] / 1e6:.1f}", va="center", fontsize=8)
        axes[2].plot(row["agreement"], place, _MARKS[row["format"]], color=color, markersize=7)
        axes[2].text(row["agreement"], place, f"  {row['agreement']:.3f}", va="center", fontsize=8)
    more = f" (line: {' and '.join(key[3:] for key in threads[1:])})" if threads[1:] else ""
    axes[0].set(xlabel=f"ms per image, threads: {threads[0][3:]}{more}", yticks=range(len(drawn)))
    axes[0].set_yticklabels(names)
    axes[1].set_xlabel("MB")
    lowest = min(row["agreement"] for row in drawn)
    axes[2].set_xlabel("share of answers equal to Keras")
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(x=0.15)
    axes[2].set_xlim(lowest - 0.2 * (1.02 - lowest), 1 + 0.5 * (1.02 - lowest))
    return figure
