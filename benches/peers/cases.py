"""The operands of `bnn bench`, made anew: shapes, signs, and the exact results."""

import numpy as np

CONVOLUTIONS = [128, 128, 256, 256, 512, 512]
GRADIENTS = ("dx", "dw", "dw-dropped")
UPDATES = ("adam", "adam-dense", "adam-dropped")
RATE, STEP = 1e-3, 10  # of one step of Adam
LAYERS = [(32, 128, 128), (16, 128, 256), (16, 256, 256), (8, 256, 512), (8, 512, 512)]


def all_cases():
    """Name, kind and shape of every case, in order."""
    cases = [(f"square/{n}", "dense", (n, n, n)) for n in (1024, 4096)]
    cases += [(f"dense/b{b}/4096x4096", "dense", (b, 4096, 4096)) for b in (1, 32, 256)]
    for images in (1, 16):
        for side, channels, outputs in LAYERS:
            name = f"conv/b{images}/{side}x{side}/{channels}x{outputs}"
            cases.append((name, "conv", (images, side, channels, outputs)))
    cases += [(f"network/mlp/b{b}", "mlp", (b,)) for b in (1, 100)]
    cases += [(f"network/convnet/b{b}", "convnet", (b,)) for b in (1, 16)]
    parts = [(f"gradient/{of}/dense/b100/4096x4096", of) for of in GRADIENTS]
    updates = ("adam/4096x4096", "adam/dense/b100/4096x4096", "adam-dropped/dense/b100/4096x4096")
    parts += [(f"update/{name}", of) for name, of in zip(updates, UPDATES)]
    cases += [(name, of, (100, 4096, 4096)) for name, of in parts]
    trained = [("mlp", 100), ("convnet", 50)]
    return cases + [(f"training/{name}/b{b}", "training", (name, b)) for name, b in trained]


def words(count, salt):
    """Words that look random, those of `bnn bench`, without their last 40 bits."""
    at = np.arange(1, count + 1, dtype=np.uint64)
    word = at * np.uint64((0x9E3779B97F4A7C15 + 2 * salt) % 2**64)
    word = (word ^ (word >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    return word >> np.uint64(40)


def signs(rows, columns, salt):
    """The bits that `bnn bench` takes for signs: 1 for +1."""
    return (words(rows * columns, salt) & np.uint64(1)).astype(np.uint8).reshape(rows, columns)


def reals(bits):
    """Bits as -1 and +1."""
    return 2.0 * bits.astype(np.float32) - 1.0


def dense_operands(shape):
    """Bits of both operands, a row per row and a row per output."""
    rows, depth, outputs = shape
    return signs(rows, depth, 1), signs(outputs, depth, 2)


def conv_operands(shape):
    """Bits of images (image, channel, row, column) and of weights (output, channel, row, column)."""
    images, side, channels, outputs = shape
    a = signs(images * side * side, channels, 1).reshape(images, side, side, channels)
    return np.ascontiguousarray(a.transpose(0, 3, 1, 2)), conv_weights(outputs, channels, 3, 2)


def conv_weights(outputs, channels, side, salt):
    """Bits of weights, the taps being outermost where `bnn` lays them out."""
    w = signs(outputs, side * side * channels, salt).reshape(outputs, side, side, channels)
    return np.ascontiguousarray(w.transpose(0, 3, 1, 2))


def pixels(images, width):
    """The images of the network cases, as the integers 2u - 255 that their bytes stand for."""
    row, column = np.arange(images)[:, None], np.arange(width)[None]
    return (2 * ((row * 89 + column * 37) % 256) - 255).astype(np.float32)


def convolve(x, w, pad):
    """A convolution with zero padding; exact, as all sums stay below 2^24."""
    images, _, side, _ = x.shape
    out = side + 2 * pad - w.shape[2] + 1
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    y = np.zeros((w.shape[0], images, out, out), np.float32)
    for i in range(w.shape[2]):
        for j in range(w.shape[3]):
            y += np.tensordot(w[:, :, i, j], padded[:, :, i : i + out, j : j + out], ([1], [1]))
    return np.ascontiguousarray(y.transpose(1, 0, 2, 3))


def pool(x):
    """The largest of every 2 x 2 entries."""
    images, channels, side, _ = x.shape
    return x.reshape(images, channels, side // 2, 2, side // 2, 2).max(axis=(3, 5))


def mlp_weights():
    """Bits of the layers of the MLP with three layers of 4096."""
    layers = [signs(4096, depth, depth) for depth in (784, 4096, 4096)]
    return layers + [signs(10, 4096, 9)]


def mlp_scores(x):
    """The sums of the last layer."""
    *hidden, last = [reals(w) for w in mlp_weights()]
    for w in hidden:
        x = np.where(x @ w.T >= 0, np.float32(1), np.float32(-1))
    return x @ last.T


def convnet_weights():
    """Bits of the convolutions and of the dense layers, these as windows too."""
    channels = [3, *CONVOLUTIONS[:-1]]
    convs = [conv_weights(o, c, 3, 9 * c) for o, c in zip(CONVOLUTIONS, channels)]
    flat = conv_weights(1024, 512, 4, 16 * 512)
    return convs, [flat, signs(1024, 1024, 1024), signs(10, 1024, 9)]


def convnet_images(images):
    """Images as `bnn` reads them, the channels innermost, moved to the front."""
    x = pixels(images, 32 * 32 * 3).reshape(images, 32, 32, 3)
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def convnet_scores(x):
    """The sums of the last layer."""
    convs, (flat, middle, last) = convnet_weights()

    def sign(y):
        return np.where(y >= 0, np.float32(1), np.float32(-1))

    for at, w in enumerate(convs):
        x = convolve(x, reals(w), 1)
        x = sign(pool(x) if at % 2 else x)
    x = sign(convolve(x, reals(flat), 0)).reshape(len(x), -1)
    return sign(x @ reals(middle).T) @ reals(last).T


def gradient_operands(kind, shape):
    """Gradients of sums, and the signs they meet: dx = dy w, and dw = dy^T x."""
    rows, columns, outputs = shape
    row, column = np.arange(rows)[:, None], np.arange(outputs)[None]
    dy = ((row * 131 + column * 37) % 1009).astype(np.float32) / np.float32(1009) - np.float32(0.5)
    if kind == "dx":
        return dy, reals(signs(outputs, columns, 3))
    kept = signs(rows, columns, 4) if kind.endswith("dropped") else 1
    return np.ascontiguousarray(dy.T), reals(signs(rows, columns, 3)) * kept


def latent_weights(shape):
    """Latent weights, and both moments of Adam."""
    _, columns, outputs = shape
    value, m, v = (uniform(salt, outputs, columns) for salt in (5, 6, 7))
    return value, m, v * v


def glorot_rate(shape):
    """The learning rate, scaled as Glorot's weights are."""
    return RATE * (sum(shape[1:]) / 1.5) ** 0.5


def updated(kind, shape):
    """Latent weights after a step of Adam that is clipped, in f64."""
    value, m, v = (x.astype(np.float64) for x in latent_weights(shape))
    if kind == "adam":
        gradient = uniform(8, *value.shape).astype(np.float64)
    else:
        dy, x = gradient_operands(kind, shape)
        gradient = dy.astype(np.float64) @ x.astype(np.float64)
    m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
    rate = glorot_rate(shape) * (1 - 0.999**STEP) ** 0.5 / (1 - 0.9**STEP)
    return np.clip(value - rate * m / (np.sqrt(v) + 1e-8), -1, 1)


def training_layers(name):
    """Outputs, side of the window, channels, and whether sums are pooled, of every layer."""
    if name == "mlp":
        return [(4096, 1, 784, False), (4096, 1, 4096, False), (4096, 1, 4096, False), (10, 1, 4096, False)]
    channels = [3, *CONVOLUTIONS[:-1]]
    convs = [(o, 3, c, at % 2 == 1) for at, (o, c) in enumerate(zip(CONVOLUTIONS, channels))]
    return convs + [(1024, 1, 16 * 512, False), (1024, 1, 1024, False), (10, 1, 1024, False)]


def uniform(salt, rows, columns):
    """Numbers that look random, uniform in [-1, 1)."""
    reals = words(rows * columns, salt).astype(np.float32) / np.float32(2**23) - 1
    return reals.reshape(rows, columns)


def training_weights(layer, outputs, inputs):
    """Latent weights."""
    return uniform(layer + 1, outputs, inputs)


def training_batch(name, count, at):
    """Bytes of images, the channels innermost, and their classes."""
    shape = (784,) if name == "mlp" else (32, 32, 3)
    images = words(count * int(np.prod(shape)), 100 + at).astype(np.uint8)
    labels = words(count, 200 + at).astype(np.uint8) % 10
    return images.reshape(count, *shape), labels.astype(np.int64)


def adds(kind, shape):
    """Multiply-adds of one run."""
    if kind == "training":
        name, count = shape
        sides = [32 >> (at // 2) if layer[1] > 1 else 1 for at, layer in enumerate(training_layers(name))]
        layers = zip(sides, training_layers(name))
        return 60 * count * sum(s * s * o * side * side * c for s, (o, side, c, _) in layers)
    if kind == "adam":
        return shape[1] * shape[2]
    if kind in ("dense", *GRADIENTS, *UPDATES):
        rows, depth, outputs = shape
        return rows * depth * outputs
    if kind == "conv":
        images, side, channels, outputs = shape
        return images * side * side * 9 * channels * outputs
    if kind == "mlp":
        return shape[0] * sum(w.size for w in mlp_weights())
    convs, rest = convnet_weights()
    places = [(32 >> (at // 2)) ** 2 * w.size for at, w in enumerate(convs)]
    return shape[0] * (sum(places) + sum(w.size for w in rest))
