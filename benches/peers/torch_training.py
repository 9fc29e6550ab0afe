"""Steps of training as a careful user of PyTorch writes them: f32, channels last, fused Adam."""

import functools
import importlib

import numpy as np

import cases

STEPS, CHECKED, RATE, OFFSET, CLASSES = 20, 2, 1e-3, 1e-3, 10


def training(kind, shape, threads):
    """Twenty steps of a network of the paper, as `bnn bench` takes them, and the losses of the first
    two without dropout."""
    if kind != "training":
        return None
    torch = importlib.import_module("torch")
    torch.set_num_threads(threads)
    name, count = shape
    batches = [cases.training_batch(name, count, at) for at in range(4)]
    sure = Network(torch, name, (0.0, 0.0))
    losses = np.array([[sure.step(*batches[at]) for at in range(CHECKED)]])
    network = Network(torch, name, (0.2, 0.5) if name == "mlp" else (0.0, 0.0))

    def run():
        for at in range(STEPS):
            network.step(*batches[at % len(batches)])

    return run, lambda: losses


def update(kind, shape, threads):
    """A step of fused Adam on a layer's weights, which are then clipped; the gradient is there, or is
    formed first."""
    if kind not in cases.UPDATES:
        return None
    torch = importlib.import_module("torch")
    torch.set_num_threads(threads)
    w, m, v = (torch.from_numpy(x) for x in cases.latent_weights(shape))
    w.grad = torch.from_numpy(cases.uniform(8, *w.shape))
    eps = 1e-8 / (1 - 0.999**cases.STEP) ** 0.5  # Lasagne adds eps before it corrects the bias
    optimizer = torch.optim.Adam([w], lr=cases.glorot_rate(shape), eps=eps, fused=True)
    step = torch.tensor(cases.STEP - 1.0)
    optimizer.state[w] = {"step": step, "exp_avg": m, "exp_avg_sq": v}
    operands = None
    if kind != "adam":
        operands = [torch.from_numpy(x) for x in cases.gradient_operands(kind, shape)]
    first = []

    def run():
        with torch.no_grad():
            if operands:
                torch.matmul(*operands, out=w.grad)
            optimizer.step()
            w.clamp_(-1, 1)
            if not first:
                first.append(w.numpy().copy())

    return run, lambda: first[0]


@functools.cache
def signs_of(torch):
    """Signs whose gradient passes through, where the number lies within [-1, 1] or everywhere."""

    class Sign(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, everywhere):
            ctx.everywhere = everywhere
            ctx.save_for_backward(*([] if everywhere else [x]))
            return torch.where(x >= 0, 1.0, -1.0)

        @staticmethod
        def backward(ctx, gradient):
            if not ctx.everywhere:
                gradient = torch.where(ctx.saved_tensors[0].abs() <= 1, gradient, 0.0)
            return gradient, None

    return Sign.apply


class Network:
    """A network in training."""

    def __init__(self, torch, name, dropped):
        self.torch, self.sign, self.dropped = torch, signs_of(torch), dropped
        self.layers, groups = [], []
        for at, (outputs, side, channels, pool) in enumerate(cases.training_layers(name)):
            w = torch.from_numpy(cases.training_weights(at, outputs, side * side * channels))
            if side > 1:
                w = w.view(outputs, side, side, channels).permute(0, 3, 1, 2)
            w.requires_grad_()
            norm = torch.nn.BatchNorm2d if side > 1 else torch.nn.BatchNorm1d
            norm = norm(outputs, eps=1e-4)
            torch.nn.init.constant_(norm.bias, OFFSET)
            self.layers.append((w, norm, pool))
            scale = (side * side * (channels + outputs) / 1.5) ** 0.5
            groups += [{"params": [w], "lr": RATE * scale}, {"params": [*norm.parameters()]}]
        self.optimizer = torch.optim.Adam(groups, lr=RATE, fused=True)
        self.steps = 0

    def scores(self, x):
        """Normalized sums of the last layer."""
        torch, f = self.torch, self.torch.nn.functional
        x = f.dropout(x, self.dropped[0])
        for at, (w, norm, pool) in enumerate(self.layers):
            signs = self.sign(w, True)
            if w.dim() == 4:
                x = f.conv2d(x, signs, padding=1)
                x = f.max_pool2d(x, 2) if pool else x
            else:
                x = x.permute(0, 2, 3, 1).flatten(1) if x.dim() == 4 else x
                x = f.linear(x, signs)
            x = norm(x)
            if at + 1 < len(self.layers):
                x = f.dropout(self.sign(x, False), self.dropped[1])
        return x

    def step(self, images, labels):
        """Trains on a batch; the sum of its losses."""
        torch = self.torch
        x = torch.from_numpy(images).to(torch.float32) * (2 / 255) - 1
        x = x.permute(0, 3, 1, 2) if x.dim() == 4 else x
        targets = 2 * torch.nn.functional.one_hot(torch.from_numpy(labels), CLASSES) - 1
        loss = (1 - targets * self.scores(x)).clamp_min(0).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.steps += 1
        for group in self.optimizer.param_groups:  # Lasagne adds eps before it corrects the bias
            group["eps"] = 1e-8 / (1 - 0.999**self.steps) ** 0.5
        self.optimizer.step()
        with torch.no_grad():
            for w, _, _ in self.layers:
                w.clamp_(-1, 1)
        return loss.item() * len(labels)
