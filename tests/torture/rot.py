#!/usr/bin/env python3
"""Damages files of a store: flips a bit, cuts the end off, empties (G-5, S-68).

After each, fsck must find it unless it is harmless, remove it, and be content the second time; and the next build must
give the right image. Every other time the build comes first, without fsck: it may fail once, saying so, or give the right
image, never another one.
"""
import os
import sys

import audit
from lab import Lab, image_id


def arguments(parser):
    parser.add_argument("--flips", type=int, default=2000)


def files_of(store):
    """The files that hold something: not locks, nor what only makes things faster."""
    found = []
    for folder in ("blobs", "records", "trees"):
        for at, _, names in os.walk(os.path.join(store, folder)):
            paths = [os.path.join(at, name) for name in names]
            found += [path for path in paths if not os.path.islink(path) and os.path.getsize(path) > 0]
    return sorted(found)


def damage(lab, path):
    state = os.lstat(path)
    with open(path, "r+b") as file:
        how = lab.random.choice(("flip", "flip", "flip", "cut", "empty"))
        if how == "flip":
            at = lab.random.randrange(state.st_size)
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 1 << lab.random.randrange(8)]))
        else:
            file.truncate(0 if how == "empty" else lab.random.randrange(state.st_size))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    return how


def main():
    lab = Lab("rot", arguments)
    contexts, store = lab.contexts(), lab.path("store")
    build = lambda name: lab.run(store, lab.build_command(contexts[name], "-t", name, "-o", f"type=docker,dest={lab.path(name)}.tar"))
    expected = {}
    for name in contexts:
        ran = build(name)
        if ran.returncode != 0:
            sys.exit(ran.stderr)
        expected[name] = image_id(ran.stderr), audit.sha256_of(lab.path(name + ".tar"))
    found, failed_once = 0, 0
    for number in range(lab.args.flips):
        path = lab.random.choice(files_of(store))
        short = os.path.relpath(path, store)
        how = damage(lab, path)
        for name in contexts:
            # Written anew, or what was written before would be left alone.
            os.unlink(lab.path(name + ".tar"))
        # What a build trusts without looking, because it was synced, only fsck can judge.
        build_first = number % 2 == 1 and not short.startswith("trees/")
        if not build_first:
            checked = lab.run(store, lab.command("fsck"))
            found += checked.returncode == 1
            if checked.returncode != 1:
                lab.problem(f"{number}: {how} {short}: fsck ends with {checked.returncode}: {checked.stdout}{checked.stderr}")
        for name in contexts:
            ran = build(name)
            if ran.returncode != 0 and build_first:
                failed_once += 1
                ran = build(name)
            if ran.returncode != 0:
                lab.problem(f"{number}: {how} {short}: {name}: status {ran.returncode}: {ran.stderr}")
            elif (image_id(ran.stderr), audit.sha256_of(lab.path(name + ".tar"))) != expected[name]:
                lab.problem(f"{number}: {how} {short}: {name}: another image: {ran.stderr}")
        again = lab.run(store, lab.command("fsck"))
        if build_first and again.returncode == 1:
            again = lab.run(store, lab.command("fsck"))
        if again.returncode != 0:
            lab.problem(f"{number}: {how} {short}: fsck afterwards ends with {again.returncode}: {again.stdout}")
        for problem in audit.look_at_store(store):
            lab.problem(f"{number}: {how} {short}: {problem}")
    return lab.finish({"flips": lab.args.flips, "found by fsck": found, "builds that failed once": failed_once})


if __name__ == "__main__":
    sys.exit(main())
