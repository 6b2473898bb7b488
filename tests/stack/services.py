"""What a stack needs beside itself: a Debian to build over, a registry to pull it from, a Docker to run it in."""
import hashlib
import os
import re
import subprocess
import sys
import time

# The service is the first process of its own namespaces, and that is a shell which reads from a pipe of ours: when we
# end, for whatever reason, it ends, and the kernel takes the rest away. Its own /run keeps it apart from services of
# the same kind on this machine; its own network has nothing but a loopback interface, so that ports are always free.
FIRST = r"""
trap '' INT TERM HUP QUIT
mount -t tmpfs -o mode=755 tmpfs /run
[ -z "$ALONE" ] || ip link set lo up
if ! mountpoint -q /sys/fs/cgroup; then
    mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
    while read -r name _ _ enabled; do
        case "$name:$enabled" in
        *:1) mkdir "/sys/fs/cgroup/$name" && mount -t cgroup -o "$name" cgroup "/sys/fs/cgroup/$name" ;;
        esac
    done </proc/cgroups
fi
{ (trap - INT TERM HUP QUIT; exec "$@") </dev/null; echo "service ended with status $?"; } >"$LOG" 2>&1 &
read -r _
"""

MMDEBSTRAP = r"""
cat /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources 2>/dev/null |
mmdebstrap --quiet --mode=root --variant=minbase --include=ca-certificates --dpkgopt=force-unsafe-io \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --aptopt='Acquire::Languages "none"' \
    --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Check-Date "false"' \
    --customize-hook="cp '$BUNDLE' \"\$1/etc/ssl/certs/ca-certificates.crt\"" \
    --customize-hook='if [ -f /etc/pip.conf ]; then cp /etc/pip.conf "$1/etc/pip.conf"; fi' \
    bookworm "$ROOTFS"
"""


def debian(shelf):
    """A root filesystem as a tar, made from this machine's package sources, or the one that an earlier run has left."""
    recipe = hashlib.sha256(MMDEBSTRAP.encode()).hexdigest()[:16]
    rootfs = os.path.join(shelf, f"debian-12-{recipe}.tar")
    if not os.path.exists(rootfs):
        os.makedirs(shelf, exist_ok=True)
        partial = f"{rootfs}.{os.getpid()}.tar"
        bundle = os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
        environment = {**os.environ, "ROOTFS": partial, "BUNDLE": bundle}
        subprocess.run(["sh", "-c", MMDEBSTRAP], env=environment, check=True, timeout=300)
        os.rename(partial, rootfs)
    return rootfs


class Service:
    """A service that cannot outlive this process."""

    def __init__(self, folder, command, alone=False):
        os.makedirs(folder)
        self.log = os.path.join(folder, "log")
        namespaces = ["--mount", "--pid", "--fork", "--mount-proc"] + (["--net"] if alone else [])
        self.process = subprocess.Popen(
            ["unshare", *namespaces, "sh", "-c", FIRST, "first", *command],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LOG": self.log, "ALONE": "1" if alone else ""},
            stdin=subprocess.PIPE, start_new_session=True)

    def text(self):
        try:
            with open(self.log, encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def wait_for(self, ready, seconds=60):
        """What `ready` gives once that is something; ends the program if the service ends before."""
        end = time.monotonic() + seconds
        while True:
            answer = ready()
            if answer:
                return answer
            if time.monotonic() > end or "service ended with status" in self.text():
                sys.exit(f"a service did not get ready (this needs root):\n{self.text()[-3000:]}")
            time.sleep(0.05)

    def stop(self):
        self.process.stdin.close()
        self.process.wait(timeout=60)


class Registry(Service):
    """Debian's docker-registry on the loopback interface."""

    def __init__(self, folder):
        config = f"{folder}.yml"
        with open(config, "w", encoding="ascii") as file:
            file.write('{"version": "0.1", "log": {"accesslog": {"disabled": false}}, "http": {"addr": "127.0.0.1:0"},'
                       f' "storage": {{"filesystem": {{"rootdirectory": "{folder}/data"}}}}}}')
        super().__init__(folder, ["/usr/bin/docker-registry", "serve", config])
        found = self.wait_for(lambda: re.search(r"listening on 127\.0\.0\.1:(\d+)", self.text()))
        self.host = f"127.0.0.1:{found[1]}"

    def mirror_of_docker_hub(self):
        return ('unqualified-search-registries = ["docker.io"]\n[[registry]]\nprefix = "docker.io"\n'
                f'location = "docker.io"\n[[registry.mirror]]\nlocation = "{self.host}"\ninsecure = true\n')

    def blobs_given(self):
        """How often each blob was asked for and given."""
        given = {}
        for digest in re.findall(r'"GET /v2/\S+/blobs/(sha256:\w+) HTTP/1.1" 200', self.text()):
            given[digest] = given.get(digest, 0) + 1
        return given


class Docker(Service):
    """Debian's dockerd with a network, a socket and data of its own; the internet is not there."""

    def __init__(self, folder):
        def at(name):
            return os.path.join(folder, name)
        with open(f"{folder}.json", "w", encoding="ascii") as file:
            file.write("{}")
        super().__init__(folder, [
            "/usr/bin/docker-init", "-s", "--", "/usr/sbin/dockerd", f"--host=unix://{at('socket')}",
            f"--data-root={at('data')}", f"--exec-root={at('exec')}", f"--pidfile={at('pid')}",
            f"--cgroup-parent=/rbuild-stack-{os.getpid()}", f"--config-file={folder}.json", "--log-level=warn"], alone=True)
        self.environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": folder, "DOCKER_HOST": f"unix://{at('socket')}",
                            "COMPOSE_PROJECT_NAME": "stack"}
        self.wait_for(lambda: self.run("/usr/bin/docker", "version", check=False).returncode == 0)

    def run(self, *command, check=True, cwd=None):
        done = subprocess.run(command, env=self.environment, cwd=cwd, capture_output=True, text=True, timeout=180, check=False)
        if check and done.returncode != 0:
            sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
        return done

    def get(self, url):
        """What a GET of an address in the daemon's network gives; None if nothing answers."""
        inside = ["nsenter", f"--net=/proc/{self.process.pid}/ns/net"]
        done = self.run(*inside, "/usr/bin/curl", "--silent", "--fail", "--max-time", "5", url, check=False)
        return done.stdout if done.returncode == 0 else None

    def stop(self):
        """Ends everything, and removes the cgroups, which outlive their processes."""
        super().stop()
        for place, _, _ in os.walk("/sys/fs/cgroup", topdown=False):
            if f"/rbuild-stack-{os.getpid()}" in place:
                os.rmdir(place)
