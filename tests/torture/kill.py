#!/usr/bin/env python3
"""Kills four parallel builds at random instants, and looks at what is left (G-1).

Each round starts four builds in one process group, in a new store or in the one of the round before, sends SIGKILL to
the group after a random time, and then asks /proc for processes and mounts, re-hashes the store, builds again, compares
the images with undisturbed ones, and looks for leftovers.
"""
import os
import shutil
import signal
import subprocess
import sys
import time

import audit
from lab import Lab, image_id


def arguments(parser):
    parser.add_argument("--rounds", type=int, default=300)


def start(lab, store, contexts):
    """Four builds in a process group of their own, led by the first."""
    children, group = [], None
    for name, context in contexts.items():
        command = lab.build_command(context, "-t", name, "-o", f"type=docker,dest={lab.path('out', name + '.tar')}")
        child = subprocess.Popen(command, env=lab.environment(store), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                 process_group=0 if group is None else group)
        group = group or child.pid
        children.append(child)
    return group, children


def wait_for_silence(lab, patience=10):
    """The seconds until nothing of the builds runs or is mounted any more; what still is after `patience`."""
    began = time.monotonic()
    while left := audit.processes_of(lab.root) + audit.mounts_below(lab.root):
        if time.monotonic() - began > patience:
            return time.monotonic() - began, left
        time.sleep(0.005)
    return time.monotonic() - began, []


def build_all(lab, store, contexts):
    """The image ids of the four builds, run side by side."""
    children = {}
    for name, context in contexts.items():
        command = lab.build_command(context, "-t", name, "-o", f"type=docker,dest={lab.path('out', name + '.tar')}")
        children[name] = subprocess.Popen(command, env=lab.environment(store), stdout=subprocess.DEVNULL,
                                          stderr=subprocess.PIPE, text=True)
    ids = {}
    for name, child in children.items():
        text = child.communicate()[1]
        if child.returncode != 0:
            lab.problem(f"{name}: the build after a kill failed with {child.returncode}: {text}")
        ids[name] = image_id(text)
    return ids


def archives(lab, contexts):
    return {name: audit.sha256_of(lab.path("out", name + ".tar")) for name in contexts}


def main():
    lab = Lab("kill", arguments)
    contexts, store = lab.contexts(), lab.path("store")
    os.makedirs(lab.path("out"))
    began = time.monotonic()
    expected = build_all(lab, store, contexts)
    whole = time.monotonic() - began
    expected_archives = archives(lab, contexts)
    slowest, midway = 0.0, 0
    for number in range(lab.args.rounds):
        if lab.random.random() < 0.7:
            shutil.rmtree(store)
            shutil.rmtree(lab.path("out"))
            os.makedirs(lab.path("out"))
        else:
            lab.run(store, lab.command("prune", "--all"), check=True)
        group, children = start(lab, store, contexts)
        time.sleep(lab.random.uniform(0, whole * 1.1))
        # The leader is not reaped before this, so its number is not another's.
        os.killpg(group, signal.SIGKILL)
        statuses = [child.wait() for child in children]
        midway += any(status == -signal.SIGKILL for status in statuses)
        seconds, left = wait_for_silence(lab)
        slowest = max(slowest, seconds)
        found = left
        if os.path.exists(os.path.join(store, "version")):
            found += audit.look_at_store(store)
        ids = build_all(lab, store, contexts)
        if ids != expected or archives(lab, contexts) != expected_archives:
            found.append(f"the images are {ids}, not {expected}")
        found += audit.look_at_store(store) + audit.look_for_leftovers(store)
        found += audit.processes_of(lab.root) + audit.mounts_below(lab.root)
        stray = [name for name in os.listdir(lab.path("out")) if not name.endswith(".tar")]
        found += [f"left over: {name} beside the output" for name in stray]
        for problem in found:
            lab.problem(f"round {number}: {problem}")
    return lab.finish({"rounds": lab.args.rounds, "killed midway": midway, "builds take": f"{whole:.2f} s",
                       "longest until silence": f"{slowest * 1000:.0f} ms"})


if __name__ == "__main__":
    sys.exit(main())
