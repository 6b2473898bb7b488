"""What the torture scripts share: a folder to work in, a base image, builds, and a verdict at the end."""
import argparse
import datetime
import gzip
import hashlib
import io
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time

BUSYBOX = "/bin/busybox"
# Few: each is several system calls that the base's unpacking can be broken at.
APPLETS = ["sh", "[", "cat", "chmod", "ln", "ls", "mkdir", "rm", "sleep", "test"]
EPOCH = 315532800

# Four builds that share a base and, the first two, their first steps. Between them: a pulled base that is unpacked,
# RUN, COPY from the context and from a stage, a cache mount, WORKDIR, a layer that no command looks at.
BUILDS = {
    "plain": """FROM base
RUN echo one >/one && mkdir -p /many && i=0 && while [ $i -lt 60 ]; do echo $i >/many/$i; i=$((i+1)); done
COPY . /src
RUN cat /src/text /one >/both && ln /both /link && ln -s both /soft
""",
    "stages": """FROM base AS made
RUN echo one >/one && mkdir -p /many && i=0 && while [ $i -lt 60 ]; do echo $i >/many/$i; i=$((i+1)); done
RUN rm /many/7 && mkdir /dir && chmod 1777 /dir && echo x >/dir/x
FROM base
WORKDIR /app
COPY --from=made /many /dir ./
RUN ls /app >/list
""",
    "files": "FROM scratch\nCOPY big /\nCOPY text /a/b/c/\nCOPY . /all/\n",
    "cache": """FROM base
RUN --mount=type=cache,target=/c test -s /c/x || echo made >/c/x; cat /c/x >/from-cache
COPY text /
RUN --mount=type=bind,target=/m cat /m/text /text >/twice
""",
}


class Lab:
    """A folder below TMPDIR, emptied and removed at the end, and the program under test."""

    def __init__(self, name, add_arguments=lambda parser: None):
        parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
        parser.add_argument("--rbuild", default=os.environ.get("RBUILD", "target/release/rbuild"), help="the program")
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--keep", action="store_true", help="leave the folder behind")
        add_arguments(parser)
        self.args = parser.parse_args()
        self.name, self.random = name, random.Random(self.args.seed)
        self.rbuild = os.path.realpath(self.args.rbuild)
        self.root = os.path.realpath(tempfile.mkdtemp(prefix=f"rbuild-torture-{name}-"))
        self.problems, self.started = [], time.monotonic()
        self.base = os.path.join(self.root, "base")
        write_layout(self.base)

    def path(self, *names):
        return os.path.join(self.root, *names)

    def environment(self, store):
        home = self.path("home")
        os.makedirs(home, exist_ok=True)
        return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": home, "RBUILD_STORE": store, "TMPDIR": home, "LC_ALL": "C"}

    def command(self, *args):
        return [self.rbuild, *args]

    def build_command(self, context, *args):
        return self.command("build", "--build-context", f"base=oci-layout://{self.base}:latest", *args, context)

    def run(self, store, command, **more):
        return subprocess.run(command, env=self.environment(store), capture_output=True, text=True, errors="replace", **more)

    def context(self, name, dockerfile, seed=0):
        """A folder with a Dockerfile, a small file and one of 3 MB."""
        folder = self.path("contexts", name)
        os.makedirs(folder, exist_ok=True)
        noise = random.Random(f"{name}-{seed}")
        for file, data in (("Dockerfile", dockerfile.encode()), ("text", b"text of %s\n" % name.encode()),
                           ("big", noise.randbytes(1 << 19) + bytes(5 << 19))):
            with open(os.path.join(folder, file), "wb") as out:
                out.write(data)
        return folder

    def contexts(self):
        return {name: self.context(name, text) for name, text in BUILDS.items()}

    def problem(self, text):
        self.problems.append(text)
        print(f"PROBLEM {text}", flush=True)

    def finish(self, figures):
        """Prints the figures and the verdict; the exit status."""
        seconds = time.monotonic() - self.started
        figures = {**figures, "problems": len(self.problems), "seed": self.args.seed, "seconds": round(seconds)}
        machine = f"{os.cpu_count()} cores, Linux {platform.release().split('-')[0]}"
        print(f"{self.name}: {datetime.date.today()}, {machine}: " + ", ".join(f"{k} {v}" for k, v in figures.items()))
        if not self.args.keep:
            shutil.rmtree(self.root, ignore_errors=True)
        return 1 if self.problems else 0


def write_layout(folder):
    """An OCI layout of busybox under the tag `latest`."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in ("bin", "dev", "etc", "proc", "sys", "tmp"):
            add(tar, name + "/", tarfile.DIRTYPE, mode=0o755)
        with open(BUSYBOX, "rb") as file:
            add(tar, "bin/busybox", tarfile.REGTYPE, 0o755, file.read())
        for applet in APPLETS:
            add(tar, f"bin/{applet}", tarfile.SYMTYPE, link="busybox")
        add(tar, "etc/passwd", tarfile.REGTYPE, 0o644, b"root:x:0:0:root:/root:/bin/sh\n")
    os.makedirs(os.path.join(folder, "blobs", "sha256"))
    layer = put(folder, gzip.compress(plain.getvalue(), 6, mtime=0))
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    diff_id = "sha256:" + hashlib.sha256(plain.getvalue()).hexdigest()
    config = put(folder, json.dumps({"architecture": architecture, "os": "linux", "config": {"Env": ["PATH=/bin"]},
                                     "history": [{"created_by": "torture"}], "rootfs": {"type": "layers", "diff_ids": [diff_id]}}).encode())
    oci = "application/vnd.oci.image."
    manifest = put(folder, json.dumps({"schemaVersion": 2, "mediaType": oci + "manifest.v1+json",
                                       "config": {"mediaType": oci + "config.v1+json", **config},
                                       "layers": [{"mediaType": oci + "layer.v1.tar+gzip", **layer}]}).encode())
    index = {"schemaVersion": 2, "manifests": [{"mediaType": oci + "manifest.v1+json", **manifest,
                                                "annotations": {"org.opencontainers.image.ref.name": "latest"}}]}
    for name, value in (("oci-layout", {"imageLayoutVersion": "1.0.0"}), ("index.json", index)):
        with open(os.path.join(folder, name), "w", encoding="ascii") as file:
            json.dump(value, file)


def add(tar, name, kind, mode=0o777, data=b"", link=""):
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.size, info.mtime, info.linkname = kind, mode, len(data), EPOCH, link
    tar.addfile(info, io.BytesIO(data))


def put(folder, data):
    digest = hashlib.sha256(data).hexdigest()
    with open(os.path.join(folder, "blobs", "sha256", digest), "wb") as file:
        file.write(data)
    return {"digest": "sha256:" + digest, "size": len(data)}


def image_id(text):
    """The id in the closing line of a build."""
    found = [word for line in text.splitlines() if line.startswith("built ") for word in line.split() if word.startswith("sha256:")]
    return found[0] if found else None
