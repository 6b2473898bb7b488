#!/usr/bin/env python3
"""Breaks a build at every system call that changes something, or takes a descriptor (G-2).

For each call that the log of an undisturbed build holds, the build is run again under strace, which kills it there
(`kill`) or lets the call fail (ENOSPC, EIO, EMFILE). The outcome must be an error or the right image, never success with
another one; the store must be good; the next build must give the right image and leave nothing behind.

strace counts calls by thread, so the n-th call of one name in every thread is one run; what was really hit is counted
from its log. `--seccomp-bpf` switches injection off and is not used.
"""
import collections
import os
import re
import shutil
import subprocess
import sys

import audit
from lab import Lab, image_id

CHANGING = """write pwrite64 writev pwritev sendfile copy_file_range ftruncate fallocate fsync fdatasync syncfs rename renameat
 renameat2 link linkat symlinkat unlink unlinkat mkdir mkdirat mknodat fchmod fchmodat chmod fchown fchownat chown lchown
 utimensat setxattr lsetxattr fsetxattr flock mount umount2 fsopen fsconfig fsmount move_mount mount_setattr open_tree
 pivot_root unshare setns sethostname clone clone3 fork vfork execve sendmsg sendto ioctl""".split()
OPENING = "open openat openat2 creat socket socketpair pipe pipe2 dup dup2 dup3 memfd_create eventfd2 epoll_create1 signalfd4 pidfd_open".split()
# Killing at an open and failing at one are as good as at the call behind it; those that make files change something.
ACTIONS = {
    "kill": ("signal=KILL", CHANGING + ["openat", "openat2"]),
    "ENOSPC": ("error=ENOSPC", [name for name in CHANGING if name not in ("execve", "unshare", "setns")] + ["openat", "openat2"]),
    "EIO": ("error=EIO", CHANGING + ["openat", "openat2"]),
    "EMFILE": ("error=EMFILE", OPENING),
}
DOCKERFILE = """FROM base
RUN mkdir /made && echo one >/made/one && ln -s one /made/two
COPY text big /src/
RUN cat /src/text /made/one >/both
"""
LINE = re.compile(r"^(?:\[pid +)?(\d+)\]? +(?:<\.\.\. )?(\w+)")


def arguments(parser):
    parser.add_argument("--every", type=int, default=1, help="take each n-th of the points")
    parser.add_argument("--offset", type=int, default=0, help="the first of them")
    parser.add_argument("--calls", help="only these, for example `write,openat`")
    parser.add_argument("--actions", default="kill,ENOSPC,EIO,EMFILE")
    parser.add_argument("--shard", default="0/1", help="of N runs side by side, which this is, for example `0/2`")
    parser.add_argument("--points", help="a file that gets a line for each point")


class Bench:
    """A store as it is before the build, and the build under strace."""

    def __init__(self, lab):
        self.lab, self.store, self.log = lab, lab.path("store"), lab.path("strace.log")
        self.context, self.out = lab.context("app", DOCKERFILE), lab.path("out")
        self.command = lab.build_command(self.context, "-t", "app", "-o", f"type=docker,dest={self.out}/app.tar")

    def fresh(self):
        shutil.rmtree(self.store, ignore_errors=True)
        shutil.rmtree(self.out, ignore_errors=True)
        os.makedirs(self.out)

    def traced(self, names, inject=None):
        command = ["strace", "-f", "-qq", "-e", "signal=none", "-o", self.log, "-e", "trace=" + ",".join(names)]
        if inject:
            command += ["-e", f"inject={inject}"]
        try:
            return self.lab.run(self.store, command + self.command, timeout=120)
        except subprocess.TimeoutExpired:
            return None

    def build(self):
        return self.lab.run(self.store, self.command)

    def calls(self):
        """Each call in the log as (thread, name, whether it was tampered with)."""
        found = []
        with open(self.log, encoding="utf-8", errors="replace") as file:
            for line in file:
                match = LINE.match(line)
                if match and "resumed>" not in line.split("(")[0]:
                    found.append((match[1], match[2], "(INJECTED)" in line))
                elif "(INJECTED)" in line:
                    found.append((match[1] if match else "", match[2] if match else "", True))
        return found


def count(bench, names):
    """How many calls of each name there are, and the most by one thread; the largest of two runs."""
    total, most = collections.Counter(), collections.Counter()
    for _ in range(2):
        bench.fresh()
        if bench.traced(names).returncode != 0:
            sys.exit("the build fails under strace")
        here, by_thread = collections.Counter(), collections.Counter()
        for thread, name, _ in bench.calls():
            here[name] += 1
            by_thread[thread, name] += 1
        for name, number in here.items():
            total[name] = max(total[name], number)
        for (_, name), number in by_thread.items():
            most[name] = max(most[name], number)
    return total, most


def check(bench, action, name, number, expected):
    """Runs one point; what is wrong, and what became of the build."""
    bench.fresh()
    effect = ACTIONS[action][0]
    ran = bench.traced([name], f"{name}:{effect}:when={number}")
    found = []
    if ran is None:
        return ["it hangs"], "hung"
    hit = action == "kill" and ran.returncode != 0 or any(injected for _, _, injected in bench.calls())
    if ran.returncode == 0 and image_id(ran.stderr) != expected[0]:
        found.append(f"success with {image_id(ran.stderr)}:\n{ran.stderr}")
    if ran.returncode == 0 and audit.sha256_of(bench.out + "/app.tar") != expected[1]:
        found.append("success with another archive")
    if "panicked" in ran.stderr or ran.returncode in (101, 134):
        found.append(f"it panicked:\n{ran.stderr}")
    if ran.returncode not in (0, -9, 137) and "error" not in ran.stderr and action != "kill":
        found.append(f"status {ran.returncode} without a word: {ran.stderr}")
    if os.path.exists(bench.store + "/version"):
        found += audit.look_at_store(bench.store)
    again = bench.build()
    if again.returncode != 0 or image_id(again.stderr) != expected[0]:
        found.append(f"the next build ends with {again.returncode}:\n{again.stderr}")
    elif audit.sha256_of(bench.out + "/app.tar") != expected[1]:
        found.append("the next build writes another archive")
    found += audit.look_at_store(bench.store) + audit.look_for_leftovers(bench.store)
    found += [f"left over: {file} beside the output" for file in os.listdir(bench.out) if file != "app.tar"]
    found += audit.mounts_below(bench.lab.root) + audit.processes_of(bench.lab.root)
    outcome = "not hit" if not hit else "right all the same" if ran.returncode == 0 else "failed"
    return found, outcome


def main():
    lab = Lab("syscalls", arguments)
    bench = Bench(lab)
    figures, at = collections.Counter(), 0
    shard, shards = map(int, lab.args.shard.split("/"))
    bench.fresh()
    right = bench.build()
    if right.returncode != 0:
        sys.exit(right.stderr)
    expected = (image_id(right.stderr), audit.sha256_of(bench.out + "/app.tar"))
    for action in lab.args.actions.split(","):
        total, most = count(bench, ACTIONS[action][1])
        figures[f"{action} calls"] = sum(total.values())
        chosen = lab.args.calls.split(",") if lab.args.calls else sorted(most)
        for name in sorted(set(chosen) & set(most)):
            for number in range(1, most[name] + 1):
                at += 1
                # The number alone decides about the shard: how many calls there are differs a little from run to run.
                if (at + lab.args.offset) % lab.args.every or number % shards != shard:
                    continue
                found, outcome = check(bench, action, name, number, expected)
                figures[f"{action} points"] += 1
                figures[f"{action} {outcome}"] += 1
                if lab.args.points:
                    with open(lab.args.points, "a", encoding="ascii") as file:
                        print(action, name, number, outcome, file=file)
                for problem in found:
                    lab.problem(f"{action} at {name} {number}: {problem}")
        print(f"{action}: {dict(figures)}", flush=True)
    return lab.finish(figures)


if __name__ == "__main__":
    sys.exit(main())
