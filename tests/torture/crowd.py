#!/usr/bin/env python3
"""Sixteen processes build beside each other while others prune, remove names and read (G-4).

Each process builds 500 times, one of a few shared Dockerfiles each time, so that many make the same at once, and checks
the id; now and then it saves what it has named and checks the archive. Beside them run `prune`, `prune --all`, `prune`
down to a size, `rm`, and what only reads. No command may fail, but `rm`, `save` and `inspect` of an image that is gone.
"""
import collections
import os
import random
import sys
import threading

import audit
from lab import BUILDS, Lab, image_id


def arguments(parser):
    parser.add_argument("--processes", type=int, default=16)
    parser.add_argument("--builds", type=int, default=500, help="of each process")


class Crowd:
    def __init__(self, lab):
        self.lab, self.store = lab, lab.path("store")
        self.contexts, self.expected, self.archives = {}, {}, {}
        for name, text in BUILDS.items():
            for number in range(3):
                # The number reaches the first command: three families that share the base.
                label = f"{name}-{number}"
                numbered = text.replace("echo one", f"echo {number}").replace("target=/c ", f"id={number},target=/c ")
                self.contexts[label] = lab.context(label, numbered)
        self.counts, self.lock = collections.Counter(), threading.Lock()
        self.done = threading.Event()

    def count(self, what):
        with self.lock:
            self.counts[what] += 1

    def expect(self):
        """What each gives in a store that nobody else uses."""
        alone, out = self.lab.path("alone"), self.lab.path("alone.tar")
        for label, context in self.contexts.items():
            command = self.lab.build_command(context, "-t", label, "-o", f"type=docker,dest={out}", "--network=none")
            ran = self.lab.run(alone, command, check=True)
            self.expected[label], self.archives[label] = image_id(ran.stderr), audit.sha256_of(out)

    def builder(self, number):
        chance = random.Random(f"{self.lab.args.seed}-{number}")
        out = self.lab.path(f"out-{number}.tar")
        for turn in range(self.lab.args.builds):
            label = chance.choice(sorted(self.contexts))
            # Every second one under a name that others use too, and may remove.
            name = label if turn % 2 or turn % 10 == 0 else f"mine-{number}"
            where = f"type=docker,dest={out}" if turn % 10 == 0 else "type=image"
            command = self.lab.build_command(self.contexts[label], "-t", name, "-o", where, "--network=none")
            ran = self.lab.run(self.store, command)
            self.count("builds")
            if ran.returncode != 0:
                self.lab.problem(f"builder {number}, turn {turn}, {label}: status {ran.returncode}: {ran.stderr}")
            elif image_id(ran.stderr) != self.expected[label]:
                self.lab.problem(f"builder {number}, turn {turn}, {label}: another image:\n{ran.stderr}")
            elif turn % 10 == 0 and audit.sha256_of(out) != self.archives[label]:
                self.lab.problem(f"builder {number}, turn {turn}, {label}: another archive")
            elif name.startswith("mine") and turn % 25 == 4:
                # Nobody else removes this name, so the image is there and whole.
                saved = self.lab.run(self.store, self.lab.command("save", name, "-o", out + ".saved"))
                self.count("saves")
                if saved.returncode != 0:
                    self.lab.problem(f"builder {number}, turn {turn}: save: status {saved.returncode}: {saved.stderr}")

    def beside(self, number, *choices):
        """Runs commands in turn until the builders are done."""
        chance = random.Random(f"{self.lab.args.seed}-beside-{number}")
        while not self.done.is_set():
            command = [word.replace("NAME", chance.choice(sorted(self.contexts))) for word in chance.choice(choices)]
            ran = self.lab.run(self.store, self.lab.command(*command))
            self.count(command[0])
            gone = command[0] in ("rm", "inspect") and "there is no image" in ran.stderr
            if ran.returncode != 0 and not gone and "there is no store" not in ran.stderr:
                self.lab.problem(f"{' '.join(command)}: status {ran.returncode}: {ran.stderr}")
            self.done.wait(chance.uniform(0, 0.3))


def main():
    lab = Lab("crowd", arguments)
    crowd = Crowd(lab)
    crowd.expect()
    builders = [threading.Thread(target=crowd.builder, args=(number,)) for number in range(lab.args.processes)]
    prunes = [["prune"], ["prune", "--all"], ["prune", "--keep-bytes", "4MB"], ["prune", "--all", "--older-than", "1s"]]
    readers = [["du"], ["du", "--json"], ["images"], ["inspect", "NAME"], ["fsck"]]
    others = [threading.Thread(target=crowd.beside, args=(0, *prunes)),
              threading.Thread(target=crowd.beside, args=(1, ["rm", "NAME"])),
              threading.Thread(target=crowd.beside, args=(2, *readers))]
    for thread in builders + others:
        thread.start()
    for thread in builders:
        thread.join()
    crowd.done.set()
    for thread in others:
        thread.join()
    # The next run sweeps up; what is left then is whole.
    lab.run(crowd.store, lab.command("prune"), check=True)
    for problem in audit.look_at_store(crowd.store) + audit.look_for_leftovers(crowd.store):
        lab.problem(problem)
    for problem in audit.processes_of(lab.root) + audit.mounts_below(lab.root):
        lab.problem(problem)
    return lab.finish({"processes": lab.args.processes, **crowd.counts})


if __name__ == "__main__":
    sys.exit(main())
