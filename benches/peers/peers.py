#!/usr/bin/env python3
"""Times bnn beside libraries of other languages: OpenVINO, ONNX Runtime, NumKong, faiss, OpenBLAS, PyTorch.

    cargo build --release --package bnn
    python3 -m venv target/peers
    target/peers/bin/pip install --require-hashes -r benches/peers/requirements.txt
    target/peers/bin/python benches/peers/peers.py --only conv

The cases are those of `bnn bench`, with the same operands. Every contender's whole result is compared
with the exact one first, bnn's by its checksum. Then all take turns in rounds: times are
medians, ratios are medians of the ratios within a round, with where they lie at 95 % confidence.
Every contender has a process of its own; bnn's turn is `bnn bench --only CASE --kernel NAME`.
A library that is missing is said to be; PyTorch takes part where it is installed.
NumKong has one thread whatever --threads says.
"""

import argparse
import json
import multiprocessing
import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]

# How far the losses of two trainings may lie apart: a gradient within rounding of 0 makes a whole step
# of Adam, one way or the other, and binarized layers carry one flipped sign to most of what follows.
LOSSES = 2e-3

# How far sums of some thousand reals may lie from the exact ones, as a share of the largest.
ROUNDING = 1e-5

# The same for weights after a step of Adam, which divides by roots that can be small.
STEPPED = 1e-4

# What a contender's process says first, unless it tells what is wrong.
READY, MISSING, NOTHING = "ready", "not installed", "nothing for this case"


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="only cases whose names contain this text")
    parser.add_argument("--list", action="store_true", help="name the cases and stop")
    parser.add_argument("--threads", type=int, default=1, help="threads of every contender")
    parser.add_argument("--rounds", type=int, default=9, help="turns of every contender")
    parser.add_argument("--seconds", type=float, default=0.2, help="seconds of a turn")
    parser.add_argument("--json", action="store_true", help="print JSON, one case a line")
    parser.add_argument("--bnn", default=ROOT / "target/release/bnn", help="the binary")
    args = parser.parse_args()
    if args.rounds < 1 or args.threads < 1 or not 0 <= args.seconds <= 3600:
        parser.error("--rounds and --threads start at 1, --seconds at 0")
    return args


def main():
    """Times the chosen cases and prints a table of each."""
    args = arguments()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(args.threads)
    import cases

    chosen = [case for case in cases.all_cases() if args.only in case[0]]
    if not chosen:
        sys.exit(f"error: no case contains `{args.only}`; --list names them")
    if args.list:
        print("\n".join(name for name, _, _ in chosen))
        return
    kernel = best_kernel(args)
    for case in chosen:
        timed = time_case(case, kernel, args)
        print(json.dumps(timed) if args.json else table(timed), flush=True)


def bnn(args, *more):
    """What `bnn bench` says of one case."""
    command = [str(args.bnn), "bench", "--json", "--threads", str(args.threads), *more]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        sys.exit(f"error: {args.bnn}: {error}; `cargo build --release --package bnn` makes it")
    if done.returncode != 0:
        sys.exit(f"error: {' '.join(command)}: {done.stderr.strip()}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def best_kernel(args):
    """The kernel that bnn takes on this processor."""
    (timed,) = bnn(args, "--only", "dense/b1/577x577", "--seconds", "0")
    return timed["rows"][0]["name"].removeprefix("cpu/")


def contenders():
    """Name, the library that must be there, and how to prepare it."""
    import libraries
    import openvino_peers
    import torch_training

    return [
        ("openvino binary", "openvino", openvino_peers.binary_layer),
        ("openvino binary, node", "openvino", openvino_peers.binary_node),
        ("openvino binary, f32 first", "openvino", openvino_peers.network_floats),
        ("openvino binary, sign inputs", "openvino", openvino_peers.network_signs),
        ("numkong hammings", "numkong", libraries.numkong),
        ("faiss hammings", "faiss", libraries.faiss),
        ("int8 onnxruntime", "onnxruntime", libraries.onnx_bytes),
        ("f32 onnxruntime", "onnxruntime", libraries.onnx_floats),
        ("f32 openvino", "openvino", openvino_peers.floats),
        ("f32 openblas", "numpy", libraries.numpy_floats),
        ("f32 torch", "torch", libraries.torch_floats),
        ("f32 torch update", "torch", torch_training.update),
        ("f32 torch training", "torch", torch_training.training),
    ]


def exact(kind, shape, contender):
    """The result that a contender must give."""
    import numpy as np

    import cases

    if kind == "dense":
        a, w = cases.dense_operands(shape)
        return cases.reals(a) @ cases.reals(w).T
    if kind == "conv":
        a, w = cases.conv_operands(shape)
        return cases.convolve(cases.reals(a), cases.reals(w), 1)
    if kind == "training":
        return None
    if kind in cases.UPDATES:
        return cases.updated(kind, shape)
    if kind in cases.GRADIENTS:
        a, w = cases.gradient_operands(kind, shape)
        return a.astype(np.float64) @ w.astype(np.float64)
    if kind == "convnet":
        return cases.convnet_scores(cases.convnet_images(*shape))
    x = cases.pixels(shape[0], 784)
    return cases.mlp_scores(np.sign(x) if "sign inputs" in contender else x)


def prepare(case, args):
    """The contenders that have something for a case, checked, each as the pipe to its process, and
    the libraries that are missing.

    Libraries bring their own allocators and thread pools, which do not all agree in one process.
    """
    spawn = multiprocessing.get_context("spawn")
    pipes, missing = {}, []
    for at, (contender, library, _) in enumerate(contenders()):
        pipe, theirs = spawn.Pipe()
        settings = (theirs, at, case, args.threads, args.seconds)
        spawn.Process(target=work, args=settings, daemon=True).start()
        theirs.close()
        said = ask(pipe, case[0], contender)
        if said == READY:
            pipes[contender] = pipe
        elif said == MISSING:
            missing += [] if library in missing else [library]
        elif said != NOTHING:
            sys.exit(f"error: {said}")
    return pipes, missing


def work(pipe, at, case, threads, budget):
    """A contender in its own process: checks its result, then takes a turn whenever it is asked."""
    import libraries

    name, kind, shape = case
    contender, library, make = contenders()[at]
    if libraries.load(library) is None:
        return pipe.send(MISSING)
    made = make(kind, shape, threads)
    if made is None:
        return pipe.send(NOTHING)
    run, result = made
    run()
    pipe.send(fault(case, contender, result(), exact(kind, shape, contender)) or READY)
    if kind == "training":
        pipe.send(checksum(result()))
    try:
        while pipe.recv():
            pipe.send(turn(run, budget))
    except EOFError:  # the case is over
        pass


def ask(pipe, case, contender):
    """The next word of a contender's process."""
    try:
        return pipe.recv()
    except EOFError:
        sys.exit(f"error: {case}, {contender}: its process has ended; see above for why")


def fault(case, contender, got, want):
    """What is wrong first with a result, if anything is."""
    import numpy as np

    if want is None:
        return None  # compared with what bnn tells
    name, kind, _ = case
    if got.shape != want.shape:
        return f"{name}, {contender}: shape {got.shape}, not {want.shape}"
    off = rounding(kind) * np.abs(want).max()
    wrong = np.argwhere(~(np.abs(got - want) <= off))
    if not len(wrong):
        return None
    at = tuple(int(index) for index in wrong[0])
    return f"{name}, {contender}: entry {at} is {got[at]}, not {want[at]}"


def rounding(kind):
    """How far a result may lie from the exact one: sums of signs are exact, those of reals are not."""
    import cases

    if kind in cases.UPDATES:
        return STEPPED
    return ROUNDING if kind in cases.GRADIENTS else 0


def checksum(result):
    """What bnn tells of its result: positions of all images are rows, outputs are columns."""
    import numpy as np

    if result.ndim == 4:
        result = result.transpose(0, 2, 3, 1).reshape(-1, result.shape[1])
    row, column = np.arange(result.shape[0])[:, None], np.arange(result.shape[1])[None]
    return float(np.sum((1 + (31 * row + 17 * column) % 97) * result.astype(np.float64)))


def time_case(case, kernel, args):
    """All contenders of a case, in rounds."""
    import cases

    name, kind, shape = case
    pipes, missing = prepare(case, args)

    if kind == "training":
        losses = [ask(pipe, name, contender) for contender, pipe in pipes.items()]
        wanted = [(loss, LOSSES * loss) for loss in losses]
    else:
        result = exact(kind, shape, "bnn")
        wanted = [(checksum(result), rounding(kind) * checksum(abs(result)))]

    def ours():
        more = ("--only", name, "--kernel", kernel, "--seconds", str(args.seconds))
        (timed,) = [timed for timed in bnn(args, *more) if timed["case"] == name]
        mine = timed["rows"][0]
        got = mine.get("checksum", float("nan"))
        for want, off in wanted:
            if not abs(got - want) <= off:
                sys.exit(f"error: {name}, {mine['name']}: the result's checksum is {got}, not {want}")
        return mine["seconds"]

    def theirs(contender):
        pipes[contender].send(True)
        return ask(pipes[contender], name, contender)

    seconds = {f"bnn cpu/{kernel}": []} | {contender: [] for contender in pipes}
    for _ in range(args.rounds):
        for contender, taken in seconds.items():
            taken.append(theirs(contender) if contender in pipes else ours())
    for pipe in pipes.values():
        pipe.close()
    first = next(iter(seconds.values()))
    adds = cases.adds(kind, shape)
    rows = [row(contender, taken, first, adds) for contender, taken in seconds.items()]
    head = {"case": name, "threads": args.threads, "rounds": args.rounds, "adds": adds}
    return head | {"rows": rows, "not_installed": missing}


def turn(run, budget):
    """The median time of one run; a run that returns a number has timed itself."""
    start, taken = time.perf_counter(), []
    while not taken or time.perf_counter() - start < budget:
        before = time.perf_counter()
        own = run()
        taken.append(own if isinstance(own, float) else time.perf_counter() - before)
    return statistics.median(taken)


def row(contender, taken, first, adds):
    """A contender's time, and its ratio to the first one's."""
    seconds = statistics.median(taken)
    low, median, high = interval([one / other for one, other in zip(taken, first)])
    times = {"low": low, "median": median, "high": high}
    return {"name": contender, "seconds": seconds, "rate": adds / seconds, "times": times}


def interval(sample):
    """The median, between the order statistics that enclose it by the binomial law at 95 %."""
    sample = sorted(sample)
    count, last = len(sample), len(sample) - 1
    reach = 1.96 * count**0.5 / 2
    low, high = max(int(count / 2 - reach), 0), min(-int(-(count / 2 + reach) // 1), last)
    return sample[low], statistics.median(sample), sample[high]


def table(timed):
    """A case as text."""
    lines = [f"{timed['case']}, threads {timed['threads']}, rounds {timed['rounds']}"]
    for row in timed["rows"]:
        times = row["times"]
        lines.append(
            f"  {row['name']:<28} {1e6 * row['seconds']:>12.1f} us {row['rate'] / 1e9:>9.1f} G/s"
            f" {times['median']:>8.2f} x ({times['low']:.2f} to {times['high']:.2f})"
        )
    lines += [f"  {library}: not installed" for library in timed["not_installed"]]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
