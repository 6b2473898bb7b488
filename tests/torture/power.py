#!/usr/bin/env python3
"""Cuts the power of a store's file system at random instants (G-5).

The store lies on an ext4 of its own, in a file, that writes out as late as it may. While builds run, the file system is
shut down without its journal (EXT4_IOC_SHUTDOWN), as if the machine had lost power, mounted again, and judged: every blob,
every record and every tree that is marked durable must be whole, images of builds that had ended must be there, and the
next build must give the right image and heal the rest. It needs root and loop devices.
"""
import fcntl
import os
import shutil
import struct
import subprocess
import sys
import time

import audit
from lab import Lab, image_id

EXT4_IOC_SHUTDOWN = 0x8004587D
LOG_FLUSHED, NOTHING_FLUSHED = 1, 2


def arguments(parser):
    parser.add_argument("--cuts", type=int, default=100)


class Disk:
    """An ext4 in a file, mounted with a loop device."""

    def __init__(self, lab):
        self.lab, self.image, self.mounted = lab, lab.path("disk.img"), lab.path("disk")
        os.makedirs(self.mounted)

    def make(self):
        with open(self.image, "wb") as file:
            file.truncate(256 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", self.image], check=True)

    def mount(self):
        # A commit every 300 seconds, and data that is written whenever it likes: as little as possible is on disk.
        options = "loop,commit=300,data=" + self.lab.random.choice(("ordered", "writeback"))
        subprocess.run(["mount", "-o", options, self.image, self.mounted], check=True)

    def cut(self):
        """Returns after nothing more reaches the disk."""
        how = self.lab.random.choice((NOTHING_FLUSHED, NOTHING_FLUSHED, LOG_FLUSHED))
        top = os.open(self.mounted, os.O_RDONLY)
        try:
            fcntl.ioctl(top, EXT4_IOC_SHUTDOWN, struct.pack("I", how))
        finally:
            os.close(top)

    def unmount(self):
        """Returns after the file system is gone, not only from this place.

        The mount namespace of a killed step may keep it for a moment; mounted again before that, it would be the one that
        was shut down.
        """
        for _ in range(200):
            subprocess.run(["umount", self.mounted], capture_output=True, check=False)
            loops = subprocess.run(["losetup", "--associated", self.image], capture_output=True, text=True, check=True)
            if not os.path.ismount(self.mounted) and not loops.stdout:
                return
            time.sleep(0.05)
        sys.exit(f"cannot unmount {self.mounted}: {audit.processes_of(self.lab.root)}")


def start(lab, store, name, context):
    command = lab.build_command(context, "-t", name, "-o", "type=image")
    return subprocess.Popen(command, env=lab.environment(store), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def cut_once(lab, disk, contexts, expected, whole):
    """One cut; the problems, and how many builds it met and how many had ended."""
    store = os.path.join(disk.mounted, "store")
    if lab.random.random() < 0.5:
        shutil.rmtree(store, ignore_errors=True)
    else:
        lab.run(store, lab.command("rm", *contexts))
        lab.run(store, lab.command("prune", "--all"))
    os.sync()
    running = {name: start(lab, store, name, context) for name, context in contexts.items()}
    time.sleep(lab.random.uniform(0, whole * 1.2))
    # Those that ended before the cut promised something. After it, some may still end well by what is in memory.
    ended = [name for name, child in running.items() if child.poll() == 0]
    disk.cut()
    for child in running.values():
        child.kill()
        child.communicate()
    while audit.processes_of(lab.root):
        time.sleep(0.01)
    disk.unmount()
    disk.mount()
    found = []
    if os.path.exists(os.path.join(store, "version")):
        found += audit.look_at_store(store, only_durable=True, after_cut=True)
        listed = lab.run(store, lab.command("images")).stdout
        found += [f"the image {name} is lost" for name in ended if f"{name}:latest" not in listed and f"{name} " not in listed]
    ids = {}
    for name, context in contexts.items():
        ran = lab.run(store, lab.build_command(context, "-t", name, "-o", f"type=docker,dest={lab.path(name + '.tar')}"))
        ids[name] = image_id(ran.stderr), ran.returncode == 0 and audit.sha256_of(lab.path(name + ".tar"))
        if ids[name] != expected[name]:
            found.append(f"{name}: the next build ends with {ran.returncode} and {ids[name]}:\n{ran.stderr}")
    found += audit.look_at_store(store, after_cut=True) + audit.look_for_leftovers(store)
    return found, len(running) - len(ended), len(ended)


def main():
    if os.environ.get("TORTURE_ALONE") != "1":
        # In a mount namespace of its own: a process that somebody starts elsewhere would keep the file system mounted.
        environment = {**os.environ, "TORTURE_ALONE": "1"}
        os.execvpe("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv], environment)
    lab = Lab("power", arguments)
    disk, contexts = Disk(lab), lab.contexts()
    expected, met, ended = {}, 0, 0
    disk.make()
    disk.mount()
    store = os.path.join(disk.mounted, "store")
    try:
        for name, context in contexts.items():
            out = lab.path(name + ".tar")
            ran = lab.run(store, lab.build_command(context, "-t", name, "-o", f"type=docker,dest={out}"), check=True)
            expected[name] = image_id(ran.stderr), audit.sha256_of(out)
        shutil.rmtree(store)
        began = time.monotonic()
        for child in [start(lab, store, name, context) for name, context in contexts.items()]:
            child.communicate()
        whole = time.monotonic() - began
        for number in range(lab.args.cuts):
            found, here, over = cut_once(lab, disk, contexts, expected, whole)
            met, ended = met + here, ended + over
            for problem in found:
                lab.problem(f"cut {number}: {problem}")
    finally:
        disk.unmount()
    return lab.finish({"cuts": lab.args.cuts, "builds met": met, "ended before": ended, "builds take": f"{whole:.2f} s"})


if __name__ == "__main__":
    sys.exit(main())
