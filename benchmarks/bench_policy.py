"""A policy of 48-256-256-12 with tanh, numpy in and numpy out, against onnxruntime and numpy: batch 1, 64 and 1024.

Run by ``pytest benchmarks/bench_policy.py --benchmark-enable``, ours beside the peers in one group. ``python
benchmarks/bench_policy.py`` measures what counts: the ratio of the minima of many interleaved rounds, and how far the
99th percentile of the CPU time of single calls is from the median. onnxruntime runs with one thread and with its default.
"""

import itertools
import time

import numpy as np
import pytest

from rfx.nn.compiled import CompiledPolicy

WIDTHS = (48, 256, 256, 12)
BATCHES = (1, 64, 1024)


def network(seed=7):
    """Layers and tensors of a policy file, with weights as they are after training: of unit variance through layers."""
    rng = np.random.default_rng(seed)
    layers, tensors = [], {}
    for i, (inputs, outputs) in enumerate(itertools.pairwise(WIDTHS)):
        tensors[f"w{i}"] = (rng.normal(size=(outputs, inputs)) / np.sqrt(inputs)).astype(np.float32)
        tensors[f"b{i}"] = rng.normal(scale=0.1, size=outputs).astype(np.float32)
        layers += [{"type": "linear", "weight": f"w{i}", "bias": f"b{i}"}, {"type": "tanh"}]
    return layers, tensors


def numpy_policy(tensors):
    """The plain way: transposed weights, one product for each layer."""
    held = [(np.ascontiguousarray(tensors[f"w{i}"].T), tensors[f"b{i}"]) for i in range(len(WIDTHS) - 1)]

    def act(obs):
        x = obs
        for weight, bias in held:
            x = np.tanh(x @ weight + bias)
        return x

    return act


def onnx_policy(tensors, threads):
    """The same network as Gemm and Tanh nodes in onnxruntime; ``threads`` 0 is its default."""
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    helper = onnx.helper
    nodes, name = [], "obs"
    for i in range(len(WIDTHS) - 1):
        nodes.append(helper.make_node("Gemm", [name, f"w{i}", f"b{i}"], [f"z{i}"], transB=1))
        nodes.append(helper.make_node("Tanh", [f"z{i}"], [f"y{i}"]))
        name = f"y{i}"
    graph = helper.make_graph(
        nodes, "policy",
        [helper.make_tensor_value_info("obs", onnx.TensorProto.FLOAT, ["n", WIDTHS[0]])],
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", WIDTHS[-1]])],
        [onnx.numpy_helper.from_array(value, key) for key, value in tensors.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    session = runtime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return lambda obs: session.run(None, {"obs": obs})[0]


def runners(batch):
    """Functions without arguments by name, that agree with each other."""
    layers, tensors = network()
    policy = CompiledPolicy.from_layers(layers, tensors)
    obs = np.random.default_rng(1).normal(size=(batch, WIDTHS[0])).astype(np.float32)
    ours_obs = obs[0] if batch == 1 else obs
    out = policy(ours_obs)
    peers = {
        "numpy": numpy_policy(tensors),
        "onnxruntime, one thread": onnx_policy(tensors, 1),
        "onnxruntime": onnx_policy(tensors, 0),
    }
    for peer in peers.values():
        np.testing.assert_allclose(np.atleast_2d(out), peer(obs), atol=1e-5)
    return {
        "rfx": lambda: policy(ours_obs),
        "rfx, out=": lambda: policy(ours_obs, out=out),
        **{name: (lambda peer=peer: peer(obs)) for name, peer in peers.items()},
    }


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("who", ["rfx", "rfx, out=", "numpy", "onnxruntime, one thread", "onnxruntime"])
def test_speed(benchmark, batch, who):
    benchmark.group = f"48-256-256-12, batch {batch}"
    benchmark(runners(batch)[who])


def interleaved(functions, rounds, calls):
    """Return the best time of one call of each, wall clock and CPU time of the whole process."""
    best = {name: [np.inf, np.inf] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            cpu, wall = time.process_time_ns(), time.perf_counter_ns()
            for _ in range(calls):
                function()
            wall, cpu = time.perf_counter_ns() - wall, time.process_time_ns() - cpu
            best[name] = [min(best[name][0], wall / calls), min(best[name][1], cpu / calls)]
    return best


def spread(function, calls=20_000):
    """Return (p50, p99) of the CPU time of single calls in ns, less what the clock itself takes."""
    clock = time.thread_time_ns
    times, empty = np.empty(calls), np.empty(calls)
    for i in range(calls):
        start = clock()
        function()
        times[i] = clock() - start
        start = clock()
        empty[i] = clock() - start
    return np.percentile(times - np.median(empty), [50, 99])


def main():
    for batch in BATCHES:
        functions = runners(batch)
        best = interleaved(functions, 300 if batch < 1024 else 40, 50 if batch == 1 else 2)
        peer = min(wall for name, (wall, _) in best.items() if not name.startswith("rfx"))
        print(
            f"batch {batch}: ours / best peer {best['rfx'][0] / peer:.3f}, with out= {best['rfx, out='][0] / peer:.3f}"
        )
        for name, (wall, cpu) in best.items():
            print(f"  {name:<26}{wall / 1e3:>10.2f} us   CPU {cpu / 1e3:>10.2f} us")
    for name, function in runners(1).items():
        p50, p99 = spread(function)
        print(
            f"CPU time of one call, {name:<26} p50 {p50 / 1e3:.2f} us, p99 {p99 / 1e3:.2f} us, p99 / p50 {p99 / p50:.2f}"
        )


if __name__ == "__main__":
    main()
