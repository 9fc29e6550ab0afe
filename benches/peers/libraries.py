"""Other libraries as contenders: each function prepares one and returns how to run it and how to
read its result; None where the library has nothing for the case."""

import functools
import importlib

import numpy as np

import cases


def load(name):
    """A library, or None where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def numkong(kind, shape, threads):
    """Hamming distances of rows to packed rows; it has one thread."""
    if kind != "dense":
        return None
    library = importlib.import_module("numkong")
    a, w = [np.packbits(bits, axis=1) for bits in cases.dense_operands(shape)]
    packed = library.hammings_pack(w)
    out = library.zeros((len(a), len(w)), dtype="uint32")
    run = functools.partial(library.hammings_packed, a, packed, out=out)
    return run, lambda: shape[1] - 2.0 * np.asarray(out)


def faiss(kind, shape, threads):
    """Hamming distances of rows to rows."""
    if kind != "dense":
        return None
    library = importlib.import_module("faiss")
    library.omp_set_num_threads(threads)
    a, w = [np.packbits(bits, axis=1) for bits in cases.dense_operands(shape)]
    out = np.empty((len(a), len(w)), np.int32)

    def run():
        pointers = [library.swig_ptr(array) for array in (a, w)]
        library.hammings(*pointers, len(a), len(w), a.shape[1], library.swig_ptr(out))

    return run, lambda: shape[1] - 2.0 * out


def onnx_session(node, weights, out_type, threads):
    """A session of one node whose second input is constant."""
    onnx, runtime = importlib.import_module("onnx"), importlib.import_module("onnxruntime")
    helper, types = onnx.helper, onnx.TensorProto
    in_type = types.UINT8 if out_type == types.INT32 else types.FLOAT
    constants = [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()]
    x = helper.make_tensor_value_info("x", in_type, [None, None])
    y = helper.make_tensor_value_info("y", out_type, [None, None])
    graph = helper.make_graph([node], "product", [x], [y], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    providers = ["CPUExecutionProvider"]
    return runtime.InferenceSession(model.SerializeToString(), options, providers=providers)


def onnx_run(session, x):
    """How to run a session on one input, the output kept."""
    out = []

    def run():
        out[:] = session.run(None, {"x": x})

    return run, lambda: out[0].astype(np.float64)


def onnx_floats(kind, shape, threads):
    """A product of f32."""
    if kind != "dense":
        return None
    onnx = importlib.import_module("onnx")
    a, w = cases.dense_operands(shape)
    node = onnx.helper.make_node("MatMul", ["x", "w"], ["y"])
    weights = {"w": np.ascontiguousarray(cases.reals(w).T)}
    session = onnx_session(node, weights, onnx.TensorProto.FLOAT, threads)
    return onnx_run(session, cases.reals(a))


def onnx_bytes(kind, shape, threads):
    """A product of bytes: 0 and 2 are -1 and +1, 1 stands for 0."""
    if kind != "dense":
        return None
    onnx = importlib.import_module("onnx")
    a, w = cases.dense_operands(shape)
    node = onnx.helper.make_node("MatMulInteger", ["x", "w", "zero"], ["y"])
    w = np.ascontiguousarray(cases.reals(w).T.astype(np.int8))
    weights = {"w": w, "zero": np.array(1, np.uint8)}
    session = onnx_session(node, weights, onnx.TensorProto.INT32, threads)
    return onnx_run(session, 2 * a)


def numpy_floats(kind, shape, threads):
    """A product of f32 by the OpenBLAS of NumPy's wheel, whose threads the environment tells."""
    if kind not in ("dense", *cases.GRADIENTS):
        return None
    if kind == "dense":
        a, w = [cases.reals(bits) for bits in cases.dense_operands(shape)]
        w = w.T
    else:
        a, w = cases.gradient_operands(kind, shape)
    out = np.empty((len(a), w.shape[1]), np.float32)
    return lambda: (np.matmul(a, w, out=out), None)[1], lambda: out


def torch_floats(kind, shape, threads):
    """A product or a convolution of f32."""
    if kind not in ("dense", "conv", *cases.GRADIENTS):
        return None
    torch = importlib.import_module("torch")
    torch.set_num_threads(threads)
    if kind in cases.GRADIENTS:
        a, w = [torch.from_numpy(reals) for reals in cases.gradient_operands(kind, shape)]
    else:
        operands = cases.dense_operands if kind == "dense" else cases.conv_operands
        a, w = [torch.from_numpy(cases.reals(bits)) for bits in operands(shape)]
        w = w.T if kind == "dense" else w
    out = []

    def run():
        with torch.no_grad():
            product = torch.conv2d(a, w, padding=1) if kind == "conv" else a @ w
        out[:] = [product]

    return run, lambda: out[0].numpy()
