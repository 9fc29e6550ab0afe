"""Times the MNIST network 3x4096 in bf16 on a GPU by PyTorch, as a CUDA graph: what `cargo run --release
-p bnn-cuda --example mlp` is compared with. Images lie on the GPU, scores stay there.

    python3 mlp_gpu.py 10000
"""

import statistics
import sys

import torch

WIDTHS = [784, 4096, 4096, 4096, 10]
PASSES, ROUNDS = 50, 7


def main(images: int) -> None:
    draw = torch.Generator(device="cuda").manual_seed(0)
    sign = lambda *shape: torch.randint(0, 2, shape, device="cuda", generator=draw).mul_(2).sub_(1)
    x = torch.rand(images, WIDTHS[0], device="cuda", generator=draw).mul_(2).sub_(1).bfloat16()
    weights = [sign(b, a).bfloat16() for a, b in zip(WIDTHS, WIDTHS[1:])]
    cuts = [torch.randn(width, device="cuda", generator=draw).bfloat16() for width in WIDTHS[1:4]]
    one = torch.ones((), device="cuda", dtype=torch.bfloat16)

    def scores():
        h = x
        for w, cut in zip(weights, cuts):
            h = torch.where(h @ w.T >= cut, one, -one)
        return h @ weights[3].T

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
    name = torch.cuda.get_device_name()
    print(f"{name}, PyTorch {torch.__version__}, bf16: {images} images in {time:.1f} us, "
          f"{images / time:.2f} million per second")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
