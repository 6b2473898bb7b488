#!/usr/bin/env python3
"""Judges a store of rbuild, and what rbuild left on the machine, without rbuild.

usage: audit.py STORE [FOLDER]
Re-hashes every blob, reads every record, compares every tree with its listing file by file, and looks into /proc for
processes and mounts of FOLDER. Prints what is wrong, a line each; the status is 1 if there is anything.
"""
import gzip
import hashlib
import json
import os
import stat
import sys
import zlib

JSON_BUCKETS = {"names", "images", "pulled", "layers", "steps", "builds", "outputs", "fetched"}
TEXT_BUCKETS = {"listings": b"rbuild-listing 1\n", "files": b"rbuild-stat-cache 1\n"}
TOP = {"version", "collecting", "holding", "grown", "sizes", "lost+found"}
MEMORY_BUCKETS = {"steps", "builds", "files"}
FOLDERS = {"blobs", "trees", "caches", "records", "locks", "leases", "tmp", "trash"}


def sha256_of(path, opener=open):
    """The digest of a file's bytes; what kept it from being read, instead, as a text that is no digest."""
    digest = hashlib.sha256()
    try:
        with opener(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except (OSError, EOFError, zlib.error) as error:
        return f"unreadable: {error}"
    return digest.hexdigest()


def unescape(field):
    out, at = bytearray(), 0
    while at < len(field):
        if field[at : at + 1] == b"%":
            out.append(int(field[at + 1 : at + 3], 16))
            at += 3
        else:
            out.append(field[at])
            at += 1
    return bytes(out)


def read_listing(data):
    """The entries of a listing, or an exception."""
    lines = data.split(b"\n")
    if lines[0] != b"rbuild-listing 1" or lines[-1] != b"" or lines[-2] != b"%%end %d" % (len(lines) - 3):
        raise ValueError("it has no proper beginning or end")
    entries = []
    for line in lines[1:-2]:
        fields = line.split(b"\t")
        secs, nanos = fields[4].split(b".")
        entry = {
            "path": unescape(fields[0]),
            "mode": int(fields[1], 8),
            "uid": int(fields[2]),
            "gid": int(fields[3]),
            "mtime": int(secs) * 10**9 + int(nanos),
            "kind": fields[5].decode(),
            "rest": fields[6:],
        }
        entries.append(entry)
    return entries


def unsealed(data):
    """A record without the hash of its bytes, which stands behind them in a line."""
    body, seal = data[:-66], data[-66:]
    if seal != b"\n" + hashlib.sha256(body).hexdigest().encode() + b"\n":
        raise ValueError("its hash is another one")
    return body


def look_at_tree(folder, entries):
    """What of a tree is not as its listing says."""
    problems, there, inodes = [], set(), {}
    root = os.fsencode(os.path.join(folder, "fs"))
    for entry in entries:
        path = entry["path"]
        if path == b"":
            continue
        where = root + b"/" + path
        there.add(where)
        try:
            found = os.lstat(where)
        except OSError as error:
            problems.append(f"{where!r}: {error.strerror}")
            continue
        kinds = {"d": stat.S_ISDIR, "o": stat.S_ISDIR, "f": stat.S_ISREG, "h": stat.S_ISREG, "l": stat.S_ISLNK,
                 "p": stat.S_ISFIFO, "c": stat.S_ISCHR, "b": stat.S_ISBLK, "w": stat.S_ISCHR}
        if not kinds[entry["kind"]](found.st_mode):
            problems.append(f"{where!r}: it is of another kind")
            continue
        if entry["kind"] == "w":
            continue
        if entry["kind"] != "l" and stat.S_IMODE(found.st_mode) != entry["mode"]:
            problems.append(f"{where!r}: mode {found.st_mode:o}, not {entry['mode']:o}")
        if os.geteuid() == 0 and (found.st_uid, found.st_gid) != (entry["uid"], entry["gid"]):
            problems.append(f"{where!r}: the owner differs")
        if found.st_mtime_ns != entry["mtime"]:
            problems.append(f"{where!r}: the time differs")
        if entry["kind"] == "f":
            inodes[path] = found.st_ino
            size, digest = int(entry["rest"][0]), entry["rest"][1].decode()
            if found.st_size != size or sha256_of(where) != digest:
                problems.append(f"{where!r}: the content differs")
        if entry["kind"] == "h" and inodes.get(unescape(entry["rest"][0])) != found.st_ino:
            problems.append(f"{where!r}: it is no hard link")
        if entry["kind"] == "l" and os.readlink(where) != unescape(entry["rest"][0]):
            problems.append(f"{where!r}: it points elsewhere")
    for at, folders, files in os.walk(root):
        problems += [f"{at + b'/' + name!r}: nothing should be there" for name in folders + files if at + b"/" + name not in there]
    return problems


def look_at_blobs(store):
    problems, sizes = [], {}
    for shard in sorted(os.listdir(os.path.join(store, "blobs"))):
        folder = os.path.join(store, "blobs", shard)
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            if sha256_of(path) != name or name[:2] != shard:
                problems.append(f"blob {name}: its bytes ({os.path.getsize(path)}) are not those of its name")
            sizes["sha256:" + name] = os.path.getsize(path)
    return problems, sizes


def look_at_records(store, after_cut=False):
    """What cannot be read, and the records of layers and the listings that can.

    Those that are only memory are not synced: after a power cut they may be damaged.
    """
    problems, layers, listings = [], {}, {}
    top = os.path.join(store, "records")
    for bucket in sorted(os.listdir(top)):
        for name in sorted(os.listdir(os.path.join(top, bucket))):
            try:
                with open(os.path.join(top, bucket, name), "rb") as file:
                    data = file.read()
            except OSError as error:
                problems.append(f"record {bucket}/{name}: {error}")
                continue
            try:
                data = unsealed(data)
                if bucket in JSON_BUCKETS:
                    value = json.loads(data)
                    if bucket == "layers":
                        layers[name.replace("%3a", ":")] = value
                elif bucket == "listings":
                    listings[name] = read_listing(data)
                elif bucket in TEXT_BUCKETS:
                    if not data.startswith(TEXT_BUCKETS[bucket]):
                        raise ValueError("another beginning")
                elif bucket == "keys":
                    if len(data) != 32:
                        raise ValueError("another length")
                else:
                    raise ValueError("there is no such bucket")
            except (ValueError, KeyError, IndexError, TypeError) as error:
                if after_cut and bucket in MEMORY_BUCKETS:
                    continue
                problems.append(f"record {bucket}/{name} ({len(data)} bytes): {error}")
    return problems, layers, listings


def look_at_store(store, only_durable=False, after_cut=False):
    """Everything wrong with a store; with `only_durable` a tree without its marker may be damaged."""
    problems = [f"{name}: it does not belong into a store" for name in os.listdir(store) if name not in TOP | FOLDERS]
    found, blobs = look_at_blobs(store)
    problems += found
    found, layers, listings = look_at_records(store, after_cut)
    problems += found
    for diff_id, record in layers.items():
        for blob in record["blobs"]:
            size = blobs.get(blob["digest"])
            if size is None:
                continue
            path = os.path.join(store, "blobs", blob["digest"][7:9], blob["digest"][7:])
            if size != blob["size"]:
                problems.append(f"layer {diff_id}: its blob has {size} bytes, not {blob['size']}")
            elif "gzip" in blob["media_type"] and "sha256:" + sha256_of(path, gzip.open) != diff_id:
                problems.append(f"layer {diff_id}: its blob holds another one")
    for name in sorted(os.listdir(os.path.join(store, "trees"))):
        folder = os.path.join(store, "trees", name)
        if only_durable and not os.path.exists(os.path.join(folder, "durable")):
            continue
        if name not in listings:
            problems.append(f"tree {name}: it has no listing")
            continue
        problems += [f"tree {name}: {problem}" for problem in look_at_tree(folder, listings[name])]
    return problems


def look_for_leftovers(store):
    """What a process that is gone left in the store."""
    found = []
    for name in ("tmp", "trash", "leases", "locks"):
        for at, _, files in os.walk(os.path.join(store, name)):
            found += [f"left over: {os.path.join(at, file)}" for file in files]
        entries = os.listdir(os.path.join(store, name)) if os.path.isdir(os.path.join(store, name)) else []
        found += [f"left over: {name}/{entry}" for entry in entries if os.path.isdir(os.path.join(store, name, entry))]
    return found


def processes():
    return [pid for pid in os.listdir("/proc") if pid.isdigit() and int(pid) != os.getpid()]


def processes_of(folder):
    """The processes that name the folder in their arguments or environment, or have their root or work in it."""
    found, needle = [], os.fsencode(folder)
    mine = set(ancestors())
    for pid in processes():
        if pid in mine:
            continue
        try:
            texts = [open(f"/proc/{pid}/{name}", "rb").read() for name in ("cmdline", "environ")]
        except OSError:
            continue
        links = []
        for name in ("cwd", "root", "exe"):
            try:
                links.append(os.fsencode(os.readlink(f"/proc/{pid}/{name}")))
            except OSError:
                pass
        if any(needle in text for text in texts) or any(link.startswith(needle + b"/") for link in links):
            found.append(f"process {pid}: {texts[0].replace(bytes(1), b' ').decode(errors='replace')}")
    return found


def ancestors():
    pid = str(os.getpid())
    while pid != "0":
        yield pid
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            pid = file.read().rsplit(")", 1)[1].split()[1]


def mounts_below(folder):
    """The mounts below the folder, or of it, in the mount namespace of any process."""
    found = set()
    for pid in processes() + ["self"]:
        try:
            with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="replace") as file:
                lines = file.read().splitlines()
        except OSError:
            continue
        for line in lines:
            if folder + "/" in line.split(" - ")[0] or f"={folder}/" in line or f":{folder}/" in line:
                found.add(f"mount {line.split()[4]}")
    return sorted(found)


def main():
    store = os.path.realpath(sys.argv[1])
    folder = os.path.realpath(sys.argv[2]) if len(sys.argv) > 2 else store
    found = look_at_store(store) + look_for_leftovers(store) + processes_of(folder) + mounts_below(folder)
    print("\n".join(found) if found else "nothing is wrong")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
