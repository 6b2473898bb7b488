#!/usr/bin/env python3
"""Edits a context in ways that a cache of file states may overlook, builds, and compares what the image holds (G-3).

Edits keep what is usually looked at: size, time of last change, inode. Each build follows its edits at once, so that some
happen in the same tick of the clock as the read before. After each build every file in the image's layer is compared with
the folder; a bind mount and ADD take turns with COPY.
"""
import collections
import ctypes
import mmap
import os
import stat
import subprocess
import sys
import tarfile

from lab import Lab

RENAME_EXCHANGE, AT_FDCWD = 2, -100
LIBC = ctypes.CDLL(None, use_errno=True)
DOCKERFILES = {
    "copy": "FROM scratch\nCOPY tree /tree\n",
    "add": "FROM scratch\nADD tree /tree\n",
    "bind": "FROM base\nRUN --mount=type=bind,target=/c cp -a /c/tree /tree\n",
}


def arguments(parser):
    parser.add_argument("--edits", type=int, default=100_000)
    parser.add_argument("--files", type=int, default=600)


class Tree:
    """A folder of files, folders and symbolic links, and ways to change it."""

    def __init__(self, lab):
        self.random, self.top = lab.random, lab.path("context", "tree")
        self.outside = lab.path("outside")
        os.makedirs(self.outside)
        for folder in range(12):
            os.makedirs(f"{self.top}/d{folder}/inner")
        self.files = []
        for number in range(lab.args.files):
            place = f"{self.top}/d{number % 12}" + ("/inner" if number % 3 == 0 else "")
            self.files.append(f"{place}/f{number}")
            self.write(self.files[-1], self.content())
        self.links = [f"{self.top}/d{number}/link" for number in range(12)]
        for link in self.links:
            os.symlink("f-target-0000", link)

    def content(self):
        return b"%032x" % self.random.getrandbits(128) * self.random.choice((1, 3, 200))

    @staticmethod
    def write(path, data):
        with open(path, "wb") as file:
            file.write(data)

    def same_size(self, path):
        """Other bytes, as many as before."""
        size = os.stat(path).st_size
        return (b"%032x" % self.random.getrandbits(128) * (size // 32 + 1))[:size]

    def edit(self):
        kinds = [self.rewrite, self.rewrite, self.one_byte, self.mapped, self.rename_over, self.swap, self.mode, self.folder_mode,
                 self.relink, self.hard_link, self.move_back, self.append_and_cut, self.replace_by_folder]
        kind = self.random.choice(kinds)
        kind(self.random.choice(self.files))
        return kind.__name__

    @staticmethod
    def keep_times(path, change):
        before = os.stat(path)
        change()
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def rewrite(self, path):
        """`touch -r` after a write of the same size."""
        self.keep_times(path, lambda: self.write(path, self.same_size(path)))

    def one_byte(self, path):
        def change():
            with open(path, "r+b") as file:
                file.seek(self.random.randrange(os.stat(path).st_size))
                file.write(b"%x" % self.random.randrange(16))
        self.keep_times(path, change)

    def mapped(self, path):
        def change():
            with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
                memory[:32] = b"%032x" % self.random.getrandbits(128)
        self.keep_times(path, change)

    def rename_over(self, path):
        new = os.path.join(self.outside, "new")
        self.write(new, self.same_size(path))
        os.chmod(new, stat.S_IMODE(os.stat(path).st_mode))
        before = os.stat(path)
        os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
        os.rename(new, path)

    def swap(self, path):
        """Two files change places, sizes and times alike."""
        other = self.random.choice(self.files)
        if other != path:
            LIBC.renameat2(AT_FDCWD, os.fsencode(path), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE)

    def mode(self, path):
        self.keep_times(path, lambda: os.chmod(path, self.random.choice((0o600, 0o644, 0o755, 0o4755, 0o444))))

    def folder_mode(self, path):
        folder = os.path.dirname(path)
        self.keep_times(folder, lambda: os.chmod(folder, self.random.choice((0o700, 0o755, 0o1777, 0o2755))))

    def relink(self, _path):
        link = self.random.choice(self.links)
        new = os.path.join(self.outside, "link")
        os.symlink(f"f-target-{self.random.randrange(10000):04}", new)
        before = os.lstat(link)
        os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns), follow_symlinks=False)
        os.rename(new, link)

    def hard_link(self, path):
        """Changed under another name, which is then taken away."""
        other = os.path.join(self.outside, "other")
        os.link(path, other)
        self.keep_times(other, lambda: self.write(other, self.same_size(other)))
        os.unlink(other)

    def move_back(self, path):
        """Moved away, changed there, and moved back: the folder has its old time."""
        folder, other = os.path.dirname(path), os.path.join(self.outside, "away")

        def change():
            os.rename(path, other)
            self.rewrite(other)
            os.rename(other, path)
        self.keep_times(folder, change)

    def append_and_cut(self, path):
        def change():
            size = os.stat(path).st_size
            with open(path, "r+b") as file:
                file.write(self.same_size(path)[:16])
                file.truncate(size + 7)
                file.truncate(size)
        self.keep_times(path, change)

    def replace_by_folder(self, path):
        """A folder in the file's place for a moment, and the file again with another content."""
        data, before, parent = self.same_size(path), os.stat(path), os.path.dirname(path)

        def change():
            os.unlink(path)
            os.mkdir(path)
            os.rmdir(path)
            self.write(path, data)
            os.chmod(path, stat.S_IMODE(before.st_mode))
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        self.keep_times(parent, change)

    def seen(self):
        """What an image must hold: kind, mode and content by path."""
        found = {}
        for at, folders, files in os.walk(self.top):
            for name in folders + files:
                path = os.path.join(at, name)
                state, short = os.lstat(path), "tree" + path[len(self.top):]
                if stat.S_ISLNK(state.st_mode):
                    found[short] = ("link", os.readlink(path))
                elif stat.S_ISDIR(state.st_mode):
                    found[short] = ("folder", stat.S_IMODE(state.st_mode))
                else:
                    with open(path, "rb") as file:
                        found[short] = ("file", stat.S_IMODE(state.st_mode), file.read())
        return found


def in_image(archive):
    """The same from the last layer of an archive whose layers are not compressed."""
    with tarfile.open(archive) as tar:
        layer = [member for member in tar if member.isfile() and member.name.startswith("blobs/")]
        found = {}
        for member in layer:
            try:
                inner = tarfile.open(fileobj=tar.extractfile(member), mode="r:")
            except tarfile.ReadError:
                continue
            for entry in inner:
                name = entry.name.rstrip("/")
                if not name.startswith("tree/"):
                    continue
                if entry.issym():
                    found[name] = ("link", entry.linkname)
                elif entry.isdir():
                    found[name] = ("folder", entry.mode)
                else:
                    found[name] = ("file", entry.mode, inner.extractfile(entry).read())
        return found


def main():
    lab = Lab("edits", arguments)
    tree, store, out = Tree(lab), lab.path("store"), lab.path("app.tar")
    done, builds, stale, kinds = 0, 0, 0, collections.Counter()
    while done < lab.args.edits:
        # Mostly many, as builds are dear, but often one alone, right after the last build.
        burst = lab.random.choice((1, 1, 3, 40, 400, 1200))
        for _ in range(min(burst, lab.args.edits - done)):
            kinds[tree.edit()] += 1
            done += 1
        name = lab.random.choice(("copy", "copy", "add", "bind"))
        file = lab.path("context", "Dockerfile." + name)
        Tree.write(file, DOCKERFILES[name].encode())
        output = f"type=docker,dest={out},compression=uncompressed"
        command = lab.build_command(lab.path("context"), "-f", file, "-t", name, "-o", output)
        ran = subprocess.run(command, env=lab.environment(store), capture_output=True, text=True, check=False)
        builds += 1
        if ran.returncode != 0:
            lab.problem(f"build {builds}: status {ran.returncode}: {ran.stderr}")
            continue
        wanted, found = tree.seen(), in_image(out)
        for path in sorted(wanted.keys() | found.keys()):
            if wanted.get(path) != found.get(path):
                stale += 1
                show = lambda state: state and (state[:2] + (state[2][:40],) if len(state) > 2 else state)
                lab.problem(f"build {builds} ({name}): {path}: {show(found.get(path))}, not {show(wanted.get(path))}")
        if builds % 20 == 0:
            lab.run(store, lab.command("prune", "--all"), check=True)
    return lab.finish({"edits": done, "builds": builds, "stale": stale, **kinds})


if __name__ == "__main__":
    sys.exit(main())
