#!/usr/bin/env python3
"""Makes the golden cases from real Keras.

generate.py [--class NAME ...] [--out DIR] [--pending DIR] [--check]

Run by the Python of either environment (requirements-keras3.txt, requirements-keras215.txt): it
makes the cases of that Keras and keeps the lines of the other one. --check repeats each float32
case in float64 and names those whose float32 noise comes near their tolerance.
"""

import argparse
import glob
import importlib
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import kerasenv  # noqa: E402
import registry  # noqa: E402
from runner import Runner, dumps, worst  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
MAX_BYTES = 128 * 1024


def load_cases():
    for path in sorted(glob.glob(os.path.join(HERE, "cases_*.py"))):
        importlib.import_module(os.path.basename(path)[:-3])


def make_line(class_name, case, check):
    if case.error:
        return dumps(Runner(class_name, case).run_error())
    out, results = Runner(class_name, case).run()
    if check and case.dtype is None:
        try:
            far, where = worst(results, Runner(class_name, case, wide=True).run()[1],
                               case.rtol or 1e-5)
            if far > 0.2:
                print(f"  ill-conditioned: {class_name}/{case.name}: {far:.2f} tolerances in {where}")
        except Exception as problem:
            first = str(problem).strip().splitlines()[0][:110] if str(problem).strip() else problem
            print(f"  not checked in float64: {class_name}/{case.name}: {first}")
    return dumps(out)


def other_lines(path):
    """Lines that the other Keras made."""
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        lines = [line.rstrip("\n") for line in file if line.strip()]
    mine = kerasenv.VERSION.split(".")[0]
    return [line for line in lines if json.loads(line)["keras"].split(".")[0] != mine]


def make_cases(class_name, cases, path, check):
    """Writes the class's file anew; returns the number of failures."""
    lines, failed = [], 0
    for case in cases:
        try:
            lines.append(make_line(class_name, case, check))
        except Exception as problem:
            failed += 1
            print(f"FAILED {class_name}/{case.name}: {type(problem).__name__}: "
                  f"{str(problem).strip()[:600]}")
    others = other_lines(path)
    lines = lines + others if kerasenv.IS3 else others + lines
    if not lines:
        return failed
    text = "\n".join(lines) + "\n"
    size = len(text.encode("utf-8"))
    if size > MAX_BYTES:
        print(f"FAILED {class_name}: {size} bytes, more than {MAX_BYTES}")
        failed += 1
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    print(f"{class_name}: {len(lines)} cases, {size} bytes")
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--class", dest="classes", action="append", metavar="NAME")
    parser.add_argument("--out", default=os.path.join(HERE, "cases"))
    parser.add_argument("--pending", help="directory for cases marked as pending")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    load_cases()
    failed = 0
    for class_name in options.classes or sorted(registry.CASES):
        mine = [c for c in registry.CASES[class_name] if c.keras == kerasenv.FAMILY]
        waiting = [c for c in mine if c.pending or class_name in registry.PENDING]
        for directory, cases in ((options.out, [c for c in mine if c not in waiting]),
                                 (options.pending, waiting)):
            if directory and cases:
                os.makedirs(directory, exist_ok=True)
                failed += make_cases(class_name, cases, os.path.join(directory,
                                                                     class_name + ".jsonl"),
                                     options.check)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
