"""Times the paper's networks for MNIST (mlp) and CIFAR-10 (convnet) in bf16 on a GPU by PyTorch, as a CUDA
graph: what `cargo run --release -p bnn-cuda --example network` is compared with. Images lie on the GPU,
scores stay there.

    python3 network_gpu.py mlp 10000
"""

import statistics
import sys

import torch
from torch.nn import functional

WIDTHS = [784, 4096, 4096, 4096, 10]
# Inputs, outputs, and whether maxima of 2 x 2 follow; then the dense layers.
CONVOLUTIONS = [
    (3, 128, False), (128, 128, True), (128, 256, False), (256, 256, True), (256, 512, False),
    (512, 512, True),
]
CLASSIFIER = [512 * 16, 1024, 1024, 10]
PASSES, ROUNDS = 50, 7


class Drawn:
    """Signs and thresholds, drawn."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.draw = torch.Generator(device=device).manual_seed(0)

    def signs(self, *shape: int) -> torch.Tensor:
        bits = torch.randint(0, 2, shape, device=self.device, generator=self.draw)
        return bits.mul_(2).sub_(1).bfloat16()

    def cuts(self, *shape: int) -> torch.Tensor:
        return torch.randn(shape, device=self.device, generator=self.draw).bfloat16()

    def pixels(self, *shape: int) -> torch.Tensor:
        pixels = torch.rand(shape, device=self.device, generator=self.draw)
        return pixels.mul_(2).sub_(1).bfloat16()


def mlp(drawn: Drawn, images: int):
    """The MNIST network 3x4096, as a function without arguments."""
    x = drawn.pixels(images, WIDTHS[0])
    return dense(drawn, WIDTHS, lambda: x)


def convnet(drawn: Drawn, images: int):
    """The CIFAR-10 network, channels innermost: what cuDNN's tensor-core kernels read."""
    x = drawn.pixels(images, 3, 32, 32).to(memory_format=torch.channels_last)
    one = torch.ones((), device=drawn.device, dtype=torch.bfloat16)
    layers = []
    for inputs, outputs, pool in CONVOLUTIONS:
        w = drawn.signs(outputs, inputs, 3, 3).to(memory_format=torch.channels_last)
        layers.append((w, drawn.cuts(1, outputs, 1, 1), pool))

    def features():
        h = x
        for w, cut, pool in layers:
            h = functional.conv2d(h, w, padding=1)
            if pool:
                h = functional.max_pool2d(h, 2)
            h = torch.where(h >= cut, one, -one)
        return h.flatten(1)

    return dense(drawn, CLASSIFIER, features)


def dense(drawn: Drawn, widths: list[int], inputs):
    weights = [drawn.signs(b, a) for a, b in zip(widths, widths[1:])]
    cuts = [drawn.cuts(width) for width in widths[1:-1]]
    one = torch.ones((), device=drawn.device, dtype=torch.bfloat16)

    def scores():
        h = inputs()
        for w, cut in zip(weights, cuts):
            h = torch.where(h @ w.T >= cut, one, -one)
        return h @ weights[-1].T

    return scores


NETWORKS = {"mlp": mlp, "convnet": convnet}


def main(name: str, images: int) -> None:
    torch.backends.cudnn.benchmark = True  # its fastest convolutions
    scores = NETWORKS[name](Drawn("cuda"), images)
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for _ in range(3):
            scores()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        scores()
    times = []
    for _ in range(ROUNDS + 1):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(PASSES):
            graph.replay()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end) / PASSES * 1e3)
    time = statistics.median(times[1:])
    gpu = torch.cuda.get_device_name()
    print(f"{gpu}, PyTorch {torch.__version__}, bf16, {name}: {images} images in {time:.1f} us, "
          f"{images / time:.2f} million per second")


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in NETWORKS:
        sys.exit(f"usage: network_gpu.py {'|'.join(NETWORKS)} IMAGES")
    main(sys.argv[1], int(sys.argv[2]))
