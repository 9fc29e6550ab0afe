"""OpenVINO as a contender: binary convolutions and f32 products, alone and as whole networks.

Its binary convolution reads f32, which a `FakeQuantize` before it turns into bits; within a network
that happens in the convolution before. So a single layer is timed twice: the whole inference, and by
OpenVINO's own clock the node of the convolution alone.
"""

import importlib

import numpy as np

import cases


def compiled(node, parameter, threads, clock=False):
    """A compiled model's request."""
    ov = importlib.import_module("openvino")
    options = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "PERF_COUNT": clock,
    }
    model = ov.Model([node], [parameter])
    return ov.Core().compile_model(model, "CPU", options).create_infer_request()


def started(request, x):
    """How to run a request on one input, and how to read its output."""
    ov = importlib.import_module("openvino")
    request.set_input_tensor(ov.Tensor(np.ascontiguousarray(x, np.float32)))
    return request.infer, lambda: request.get_output_tensor().data


def parameter(shape):
    """The input of a network."""
    return importlib.import_module("openvino").opset13.parameter(list(shape), np.float32)


def binarized(x, channels, cut):
    """1 where the entry of its channel is above the cut, which no entry equals; otherwise 0."""
    opset = importlib.import_module("openvino").opset13
    levels = [np.full((1, channels, 1, 1), value, np.float32) for value in (cut, cut, 0, 1)]
    return opset.fake_quantize(x, *map(opset.constant, levels), levels=2)


def binary(x, bits, pad):
    """A binary convolution whose padding counts nothing."""
    ov = importlib.import_module("openvino")
    weights = ov.Tensor(ov.Type.u1, ov.Shape(bits.shape))
    weights.data[:] = np.packbits(bits.reshape(-1), bitorder="little")
    pads = [pad, pad]
    return ov.opset13.binary_convolution(
        x, ov.op.Constant(weights), [1, 1], pads, pads, [1, 1], "xnor-popcount", 0.0
    )


def layer(kind, shape):
    """Images of signs and bits of weights of a single layer; dense ones as windows of one pixel."""
    if kind == "dense":
        a, w = cases.dense_operands(shape)
        return a[:, :, None, None], w[:, :, None, None], 0
    return *cases.conv_operands(shape), 1


def binary_request(kind, shape, threads, clock):
    """A single binary layer behind its quantizer."""
    a, w, pad = layer(kind, shape)
    x = parameter(a.shape)
    node = binary(binarized(x, a.shape[1], 0.0), w, pad)
    request = compiled(node, x, threads, clock)
    run, result = started(request, cases.reals(a))
    if kind == "dense":
        return request, run, lambda: result()[:, :, 0, 0]
    return request, run, result


def binary_layer(kind, shape, threads):
    """A binary layer with the packing of its input."""
    if kind not in ("dense", "conv"):
        return None
    return binary_request(kind, shape, threads, clock=False)[1:]


def binary_node(kind, shape, threads):
    """A binary layer without the packing of its input; each run returns its seconds."""
    if kind not in ("dense", "conv"):
        return None
    request, run, result = binary_request(kind, shape, threads, clock=True)

    def timed():
        run()
        nodes = request.profiling_info
        return sum(
            node.real_time.total_seconds()
            for node in nodes
            if node.node_type == "BinaryConvolution"
        )

    return timed, result


def floats(kind, shape, threads):
    """A product or a convolution of f32."""
    if kind not in ("dense", "conv"):
        return None
    opset = importlib.import_module("openvino").opset13
    if kind == "dense":
        a, w = [cases.reals(bits) for bits in cases.dense_operands(shape)]
        x = parameter(a.shape)
        node = opset.matmul(x, opset.constant(w), False, True)
    else:
        a, w = [cases.reals(bits) for bits in cases.conv_operands(shape)]
        x = parameter(a.shape)
        node = opset.convolution(x, opset.constant(w), [1, 1], [1, 1], [1, 1], [1, 1])
    return started(compiled(node, x, threads), a)


def network_floats(kind, shape, threads):
    """A network from the same pixels as ours: its first layer in f32, all others binary."""
    opset = importlib.import_module("openvino").opset13
    if kind == "mlp":
        first, *rest = mlp_windows()
        images = cases.pixels(shape[0], 784)[:, :, None, None]
        x = parameter(images.shape)
        y = opset.convolution(x, opset.constant(cases.reals(first)), [1, 1], [0, 0], [0, 0], [1, 1])
        node = stack(y, rest)
    elif kind == "convnet":
        images = cases.convnet_images(shape[0])
        x = parameter(images.shape)
        node = convnet(x)
    else:
        return None
    run, result = started(compiled(node, x, threads), images)
    return run, lambda: result()[:, :, 0, 0]


def network_signs(kind, shape, threads):
    """The MLP from signs of the pixels, all layers binary: less work than ours, which reads bytes."""
    if kind != "mlp":
        return None
    images = np.sign(cases.pixels(shape[0], 784))[:, :, None, None]
    x = parameter(images.shape)
    first, *rest = mlp_windows()
    node = stack(binary(binarized(x, 784, 0.0), first, 0), rest)
    run, result = started(compiled(node, x, threads), images)
    return run, lambda: result()[:, :, 0, 0]


def mlp_windows():
    """The layers of the MLP as windows of one pixel."""
    return [w[:, :, None, None] for w in cases.mlp_weights()]


def stack(y, layers):
    """Binary layers one after the other; sums of 0 and more are +1."""
    for w in layers:
        y = binary(binarized(y, w.shape[1], -0.5), w, 0)
    return y


def convnet(x):
    """The CIFAR-10 network; pooling sums before they are cut gives the same bits as after."""
    opset = importlib.import_module("openvino").opset13
    convs, dense = cases.convnet_weights()
    first = opset.constant(cases.reals(convs[0]))
    y = opset.convolution(x, first, [1, 1], [1, 1], [1, 1], [1, 1])
    for at, w in enumerate(convs[1:], 1):
        y = binary(binarized(y, w.shape[1], -0.5), w, 1)
        if at % 2:
            y = opset.max_pool(y, [2, 2], [1, 1], [0, 0], [0, 0], [2, 2]).output(0)
    windows = [dense[0], *[w[:, :, None, None] for w in dense[1:]]]
    return stack(y, windows)
