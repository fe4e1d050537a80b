"""What the peers of the comparison share: the line protocol of bench_cases.c."""

import json
import sys
import time


class Skip(Exception):
    """The peer has no such thing."""


def serve(prepare, cpu):
    """prepare(case) gives a function to measure, or raises Skip."""
    clock = time.process_time if cpu else time.perf_counter
    out = sys.stdout
    sys.stdout = sys.stderr
    run = None
    for line in sys.stdin:
        command, _, rest = line.strip().partition(" ")
        if command == "run":
            run()
            times = []
            start = at = clock()
            while True:
                run()
                end = clock()
                times.append(end - at)
                at = end
                if end - start > float(rest) and len(times) > 2:
                    break
            times.sort()
            reply = f"{times[0] * 1e6:.3f} {times[len(times) // 2] * 1e6:.3f} {len(times)}"
        else:
            run = None
            try:
                run = prepare(json.loads(rest))
                for _ in range(3):
                    run()
                reply = "ready"
            except Skip as skip:
                reply = f"skip {skip}"
            except Exception as error:  # a peer that can't is left out of the row, with its words
                reply = "skip " + (str(error).splitlines() or [type(error).__name__])[0][:120]
        out.write(reply + "\n")
        out.flush()
