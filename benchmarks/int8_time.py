"""Where the time of int8 goes in LiteRT: single layers, whole networks, and what could be changed about them.

    python benchmarks/int8_time.py          # three minutes
    python benchmarks/int8_time.py --quick  # a minute

Processor time, on one thread where nothing else is said. The variants take turns in one process, and the median is
taken; a ratio below 1 says that int8 is faster. The layers are those of EfficientNet-Lite0, each repeated to a network
of its own.
"""

import argparse
import os
from time import process_time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

import tlkeras
from tlkeras.exporters.litert_editing import with_uint8, without_cast
from tlkeras.exporters.litert_quantization import quantize
from tlkeras.exporters.processor import has_int8_dot_products
from tlkeras.features.engines.litert_writer import write_litert
from tlkeras.utils.stderr import silent_package, silent_stderr

L = keras.layers

#: Kind, side of the image, channels in and out (or size of the window), and how often they follow each other.
LAYERS = (
    ("pointwise", 56, 24, 144, 2),
    ("pointwise", 28, 144, 40, 4),
    ("pointwise", 14, 112, 672, 4),
    ("pointwise", 7, 1152, 320, 4),
    ("depthwise", 56, 144, 3, 4),
    ("depthwise", 28, 240, 5, 4),
    ("depthwise", 14, 672, 5, 6),
    ("add", 28, 40, 0, 16),
)


def layer_network(kind, side, channels, other, count):
    """Build a network of one kind of layer."""
    inputs = keras.Input((side, side, 3))
    x = L.Conv2D(channels, 1, activation="relu6")(L.Rescaling(1 / 127.5, -1.0)(inputs))
    for _ in range(count):
        if kind == "pointwise":  # there and back
            x = L.Conv2D(other if x.shape[-1] == channels else channels, 1, activation="relu6")(x)
        elif kind == "depthwise":
            x = L.DepthwiseConv2D(other, padding="same", activation="relu6")(x)
        else:
            x = L.Add()([x, x])
    return keras.Model(inputs, L.Dense(8)(L.GlobalAveragePooling2D()(x)))


def runner(content, resolver=OpResolverType.AUTO, threads=1):
    """Return a function that runs a file once."""
    with silent_stderr():
        interpreter = Interpreter(model_content=content, num_threads=threads, experimental_op_resolver_type=resolver)
        interpreter.allocate_tensors()
    taken = interpreter.get_input_details()[0]
    pixels = np.random.default_rng(1).integers(0, 256, taken["shape"]).astype(taken["dtype"])

    def run():
        interpreter.set_tensor(taken["index"], pixels)
        interpreter.invoke()

    return run


def milliseconds(runners, turns):
    """Return the median processor time of each, in turns."""
    times = {name: [] for name in runners}
    for run in runners.values():
        run()
    for _ in range(turns):
        for name, run in runners.items():
            begun = process_time()
            run()
            times[name].append(process_time() - begun)
    return {name: 1e3 * float(np.median(values)) for name, values in times.items()}


def all_in_int8(content, pixels, channelwise=True):
    """Quantize everything, the head included; weights per channel or per tensor."""
    from litert_quantizer import qtyping, quantizer, recipe_manager

    recipes = recipe_manager.RecipeManager()
    granularity = qtyping.QuantGranularity.CHANNELWISE if channelwise else qtyping.QuantGranularity.TENSORWISE
    operators = qtyping.TFLOperationName.ALL_SUPPORTED
    recipes.add_static_config(".*", operators, 8, 8, weight_granularity=granularity)
    with silent_package():
        engine = quantizer.Quantizer(without_cast(content), recipes.get_quantization_recipe())
        samples = [{"image": image[None].astype("float32")} for image in pixels]
        ranges = engine.calibrate({"serving_default": samples})
        return with_uint8(bytes(engine.quantize(ranges, enable_progress_report=False).quantized_model))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    turns = 20 if parser.parse_args().quick else 100
    print(f"8-bit dot products: {'yes' if has_int8_dot_products() else 'no'}")
    print(f"\n{'layer':<34} {'float32':>8} {'int8':>8} {'ratio':>6}")
    random = np.random.default_rng(0)
    for kind, side, channels, other, count in LAYERS:
        content = write_litert(layer_network(kind, side, channels, other, count), "uint8")
        pixels = random.integers(0, 256, (8, side, side, 3), "uint8")
        runners = {"float32": runner(content), "int8": runner(quantize(content, "int8", pixels))}
        times = milliseconds(runners, turns)
        name = f"{count} {kind} {other or ''} of {side} x {side} x {channels}"
        print(
            f"{name:<34} {times['float32']:8.2f} {times['int8']:8.2f} {times['int8'] / times['float32']:6.2f}",
            flush=True,
        )

    backbone = tlkeras.backbone("efficientnet_lite0")
    x = L.GlobalAveragePooling2D()(backbone.outputs[0])
    content = write_litert(keras.Model(backbone.inputs, L.Dense(10, activation="softmax")(x)), "uint8")
    pixels = random.integers(0, 256, (16, 224, 224, 3), "uint8")
    static, plain = quantize(content, "int8", pixels), OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    rows = {
        "float32": runner(content),
        "int8, head in float (exported)": runner(static),
        "everything in int8, uint8 input": runner(all_in_int8(content, pixels)),
        "the same, one scale per tensor": runner(all_in_int8(content, pixels, channelwise=False)),
        "dynamic int8": runner(quantize(content, "dynamic_int8", pixels)),
        "float32 without XNNPACK": runner(content, plain),
        "int8 without XNNPACK": runner(static, plain),
        "float32, 2 threads": runner(content, threads=2),
        "int8, 2 threads": runner(static, threads=2),
    }
    times = milliseconds(rows, turns // 4)
    print(f"\n{'EfficientNet-Lite0':<34} {'ms':>8} {'of float32':>10}")
    for name, time in times.items():
        print(f"{name:<34} {time:8.2f} {time / times['float32']:10.2f}", flush=True)


if __name__ == "__main__":
    main()
