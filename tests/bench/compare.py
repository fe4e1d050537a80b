"""Runs klayers and its peers side by side over cases.json; called by tests/bench/run.

The workers take turns, round after round, in one run. A ratio is the peer's least time of a round
over klayers' least time of the same round: above 1 klayers is ahead.
"""

import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

import models
import recurrent

HERE = pathlib.Path(__file__).resolve().parent
EXPLAIN = False
KINDS = ("models", "layers", "kernels")
TWO_INPUTS = ("Attention", "MultiHeadAttention")
CHANNELS = re.compile("Conv(?!LSTM)|Pooling|BatchNormalization|GroupNormalization|UpSampling|ZeroPadding|Cropping")


def cases_of(table, kinds):
    """Every row: a name and what the workers are told."""
    for case in table["models"] if "models" in kinds else ():
        operations = models.expand(case["layers"])
        shared = {"class_name": "Functional", "config": models.keras_config(case), "compile": True,
                  "operations": operations, "input": case["input"],
                  "integers": case.get("integers", 0), "channels_second": len(case["input"]) == 3}
        for kind in ("train", "predict"):
            for batch in case[kind]:
                yield f"{case['name']} {kind} batch {batch}", dict(shared, batch=batch, **{"pass": kind})
    for case in table["layers"] if "layers" in kinds else ():
        name, config = case["layer"]
        first, sizes = case.get("channels_first", False), case["input"]
        shared = {"class_name": name, "config": config, "compile": False, "batch": case["batch"],
                  "operations": [("op_1", name, config, [0])], "input": sizes,
                  "integers": case.get("integers", 0), "channels_first": first,
                  "arguments": 2 if name in TWO_INPUTS else 1,
                  "channels_second": bool(CHANNELS.search(name)) and
                  config.get("data_format") != "channels_first"}
        if first:
            shared["config"] = dict(config, data_format="channels_first")
            shared["input"] = sizes[-1:] + sizes[:-1]
        for kind in ("forward", "gradient"):
            text = "forward" if kind == "forward" else "forward+backward"
            yield f"{case['name']} {text}", dict(shared, **{"pass": kind})
    for case in table["kernels"] if "kernels" in kinds else ():
        yield case["name"], case


class Worker:
    def __init__(self, name, command):
        self.name, self.process = name, None
        environment = dict(os.environ, MALLOC_TOP_PAD_="67108864", MALLOC_TRIM_THRESHOLD_="4294967296",
                           MALLOC_MMAP_THRESHOLD_="4294967296")
        environment["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
        self.command, self.environment = command, environment

    def ask(self, text):
        if self.process is None:
            threads = self.command[-3] if self.command[-1] == "compile" else self.command[-2]
            environment = dict(self.environment, OMP_NUM_THREADS=threads, MKL_NUM_THREADS=threads)
            self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            stderr=subprocess.DEVNULL, text=True, env=environment)
        try:
            self.process.stdin.write(text + "\n")
            self.process.stdin.flush()
            reply = self.process.stdout.readline().strip()
        except BrokenPipeError:
            reply = ""
        if not reply:
            self.process.kill()
            self.process = None
            return "skip ended unexpectedly"
        return reply

    def end(self):
        if self.process:
            self.process.stdin.close()
            self.process.wait()


def measure(workers, case, rounds, seconds):
    """Least times in microseconds, a list of rounds each worker; and why some have none."""
    times, skipped = {}, {}
    for worker in workers:
        reply = worker.ask("case " + json.dumps(case))
        if reply == "ready":
            times[worker] = []
        else:
            skipped[worker] = reply[5:]
    for _ in range(rounds):
        for worker in list(times):
            time.sleep(0.005)  # the one before lets go of its threads
            reply = worker.ask(f"run {seconds}").split()
            if reply and reply[0] not in ("skip", "error"):
                times[worker].append(float(reply[0]))
            else:
                skipped[worker] = " ".join(reply[1:])
                del times[worker]
    return times, skipped


def shown(us):
    return f"{us:.1f} us" if us < 1000 else f"{us / 1000:.2f} ms"


def report(name, workers, times, skipped):
    ours = times.get(workers[0])
    if not ours:
        print(f"{name:46} left out: {skipped.get(workers[0], '')[:100]}")
        return None
    cells, best = [], None
    for worker in workers[1:]:
        if worker not in times:
            cells.append(f"{'-':>18}")
            continue
        ratios = [theirs / us for theirs, us in zip(times[worker], ours)]
        middle = statistics.median(ratios)
        cells.append(f"{min(ratios):5.2f} {middle:5.2f} {max(ratios):6.2f}")
        overall = min(times[worker]) / min(ours)
        best = overall if best is None else min(best, overall)
    verdict = "" if best is None else f"{best:5.2f} {'' if best >= 1 else 'BEHIND'}"
    for worker in workers[1:] if EXPLAIN else ():
        if worker in skipped:
            print(f"    {worker.name}: {skipped[worker]}")
    print(f"{name:46} {shown(min(ours)):>10}  {'  '.join(cells)}  {verdict}", flush=True)
    return best


def main():
    parser = argparse.ArgumentParser(prog="tests/bench/run", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds, no torch.compile")
    parser.add_argument("--recurrent", action="store_true",
                        help="recurrent layers at many sizes instead of the usual rows")
    parser.add_argument("--only", default="", metavar="REGEX", help="rows whose name matches")
    for kind in KINDS:
        parser.add_argument(f"--{kind}", action="store_true", help=f"of all rows only the {kind}")
    parser.add_argument("--threads", default="1,2", help="thread counts, one after the other")
    parser.add_argument("--peers", default="torch,compiled,tensorflow,onnx")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall",
                        help="cpu: processor time, on a busy machine and one thread")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--program", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--explain", action="store_true", help="say why a peer has no figure")
    options = parser.parse_args()
    global EXPLAIN
    EXPLAIN = options.explain
    rounds = options.rounds or (3 if options.quick else 7)
    seconds = 0.05 if options.quick else 0.2
    peers = [p for p in options.peers.split(",") if p]
    if options.quick and "compiled" in peers:
        peers.remove("compiled")
    kinds = [kind for kind in KINDS if getattr(options, kind)] or KINDS
    table = json.loads((HERE / "cases.json").read_text())
    if options.recurrent:
        table = {"models": [], "layers": recurrent.cases(options.quick), "kernels": []}
    wanted = re.compile(options.only, re.IGNORECASE)
    rows = [(name, case) for name, case in cases_of(table, kinds) if wanted.search(name)]
    if not rows:
        sys.exit(f"no row's name matches '{options.only}'")
    behind = 0
    for threads in options.threads.split(","):
        arguments = [threads, options.clock]
        workers = [Worker("klayers", [options.program] + arguments)]
        for peer in peers:
            script = "torch" if peer == "compiled" else peer
            command = [sys.executable, str(HERE / "peers" / f"{script}_peer.py")] + arguments
            workers.append(Worker(peer, command + (["compile"] if peer == "compiled" else [])))
        print(f"\n{threads} thread(s); each peer's time over klayers': min, median, max of {rounds} "
              f"rounds; last: the best peer's least time over klayers'")
        print(f"{'':46} {'klayers':>10}  " + "  ".join(f"{w.name:^18}" for w in workers[1:]))
        for name, case in rows:
            best = report(name, workers, *measure(workers, case, rounds, seconds))
            behind += best is not None and best < 1
        for worker in workers:
            worker.end()
    print(f"\n{behind} row(s) behind the best peer" if behind else "\nahead on every row")


main()
