//! Which mounts a spec needs, in order. Pure: what is really there is found out by the interpreter of these steps.

use rustix::mount::MountAttrFlags as Attrs;

use super::spec::{Access, Confinement, Mount, Programs, Source, Spec};
use crate::path::ImagePath;

/// One step of furnishing a root filesystem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MountOp {
    /// A file system of the kernel's on a folder that must not be reached through a symlink.
    Filesystem {
        /// Its type.
        kind: &'static str,
        /// Its options, in order.
        options: Vec<(&'static str, String)>,
        /// Where.
        target: ImagePath,
        /// How.
        attrs: Attrs,
        /// What happens to a mount point that had to be made.
        point: Point,
    },
    /// A device node of the host, recognised by its numbers.
    Device {
        /// Its name in `/dev`.
        name: &'static str,
        /// Its major and minor number.
        numbers: (u32, u32),
    },
    /// A symlink in the sandbox's own `/dev`.
    Symlink {
        /// Where.
        at: ImagePath,
        /// To what.
        to: &'static str,
    },
    /// What the spec, or the builder for `/etc`, wants to show.
    Show {
        /// What.
        source: Source,
        /// Where.
        target: ImagePath,
        /// How.
        attrs: Attrs,
    },
    /// A place that must look empty, if it exists.
    Mask {
        /// Where.
        path: ImagePath,
    },
    /// A place that must not be written to, if it exists.
    Protect {
        /// Where.
        path: ImagePath,
    },
}

/// What happens to a mount point that had to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Point {
    /// It stays in the image, as it does with BuildKit: `/proc`, `/sys` and `/dev`.
    Stays,
    /// It goes when the step has ended.
    Goes,
}

/// The two halves of furnishing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// While the host can still be seen.
    pub(super) outside: Vec<MountOp>,
    /// By the step's own process: `/proc` shows the process namespace of whoever mounts it.
    pub(super) inside: Vec<MountOp>,
}

/// The nodes that Docker's containers have, but for `/dev/console`.
const DEVICES: [(&str, (u32, u32)); 6] =
    [("null", (1, 3)), ("zero", (1, 5)), ("full", (1, 7)), ("random", (1, 8)), ("urandom", (1, 9)), ("tty", (5, 0))];

const LINKS: [(&str, &str); 5] = [
    ("dev/ptmx", "pts/ptmx"),
    ("dev/fd", "/proc/self/fd"),
    ("dev/stdin", "/proc/self/fd/0"),
    ("dev/stdout", "/proc/self/fd/1"),
    ("dev/stderr", "/proc/self/fd/2"),
];

/// Docker's masked paths, and the kernel's symbols, which show addresses where the kernel is told not to hide them.
const MASKED: [&str; 13] = [
    "proc/acpi",
    "proc/asound",
    "proc/interrupts",
    "proc/kcore",
    "proc/keys",
    "proc/latency_stats",
    "proc/sched_debug",
    "proc/scsi",
    "proc/timer_list",
    "proc/timer_stats",
    "proc/kallsyms",
    "sys/devices/virtual/powercap",
    "sys/firmware",
];

/// Docker's read-only paths.
const PROTECTED: [&str; 5] = ["proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"];

/// Plans the mounts over the root filesystem of `spec`, the root itself not included.
pub(super) fn plan(spec: &Spec) -> Plan {
    let mut outside = vec![sysfs(spec.confinement), dev(spec.confinement)];
    outside.extend(DEVICES.map(|(name, numbers)| MountOp::Device { name, numbers }));
    outside.extend(LINKS.map(|(at, to)| MountOp::Symlink { at: ImagePath::new(at), to }));
    outside.extend([devpts(), shm(spec.shm_size), mqueue()]);
    let files = [("etc/hosts", &spec.hosts), ("etc/resolv.conf", &spec.resolv_conf)];
    outside.extend(files.into_iter().filter_map(|(target, content)| Some(etc_file(target, content.as_ref()?))));
    outside.extend(spec.mounts.iter().map(show));
    let mut inside = vec![proc()];
    if spec.confinement == Confinement::Nothing {
        return Plan { outside, inside };
    }
    inside.extend(MASKED.map(|path| MountOp::Mask { path: ImagePath::new(path) }));
    inside.extend(PROTECTED.map(|path| MountOp::Protect { path: ImagePath::new(path) }));
    Plan { outside, inside }
}

/// What every mount without programs of the image gets.
fn closed() -> Attrs {
    Attrs::MOUNT_ATTR_NODEV | Attrs::MOUNT_ATTR_NOSUID | Attrs::MOUNT_ATTR_NOEXEC
}

fn proc() -> MountOp {
    let target = ImagePath::new("proc");
    MountOp::Filesystem { kind: "proc", options: Vec::new(), target, attrs: closed(), point: Point::Stays }
}

fn sysfs(confinement: Confinement) -> MountOp {
    let attrs = match confinement {
        Confinement::Docker => closed() | Attrs::MOUNT_ATTR_RDONLY,
        Confinement::Nothing => closed(),
    };
    MountOp::Filesystem {
        kind: "sysfs",
        options: Vec::new(),
        target: ImagePath::new("sys"),
        attrs,
        point: Point::Stays,
    }
}

/// A step that is kept from nothing may make device nodes here, and use them.
fn dev(confinement: Confinement) -> MountOp {
    let options = vec![("mode", "755".to_owned()), ("size", "65536k".to_owned())];
    let attrs = match confinement {
        Confinement::Docker => Attrs::MOUNT_ATTR_NODEV | Attrs::MOUNT_ATTR_NOSUID,
        Confinement::Nothing => Attrs::MOUNT_ATTR_NOSUID,
    };
    MountOp::Filesystem { kind: "tmpfs", options, target: ImagePath::new("dev"), attrs, point: Point::Stays }
}

/// Terminals are devices, so this mount cannot be nodev; the file system makes no nodes but its own.
fn devpts() -> MountOp {
    let options =
        [("mode", "620"), ("ptmxmode", "666"), ("gid", "5")].map(|(key, value)| (key, value.to_owned())).to_vec();
    let attrs = Attrs::MOUNT_ATTR_NOSUID | Attrs::MOUNT_ATTR_NOEXEC;
    MountOp::Filesystem { kind: "devpts", options, target: ImagePath::new("dev/pts"), attrs, point: Point::Goes }
}

fn shm(size: u64) -> MountOp {
    let options = vec![("mode", "1777".to_owned()), ("size", size.to_string())];
    let target = ImagePath::new("dev/shm");
    MountOp::Filesystem { kind: "tmpfs", options, target, attrs: closed(), point: Point::Goes }
}

fn mqueue() -> MountOp {
    let target = ImagePath::new("dev/mqueue");
    MountOp::Filesystem { kind: "mqueue", options: Vec::new(), target, attrs: closed(), point: Point::Goes }
}

fn etc_file(target: &str, content: &[u8]) -> MountOp {
    let source = Source::Content { bytes: content.to_vec(), mode: 0o644, uid: 0, gid: 0 };
    MountOp::Show { source, target: ImagePath::new(target), attrs: closed() | Attrs::MOUNT_ATTR_RDONLY }
}

fn show(mount: &Mount) -> MountOp {
    let mut attrs = Attrs::MOUNT_ATTR_NODEV;
    if mount.access == Access::ReadOnly {
        attrs |= Attrs::MOUNT_ATTR_RDONLY;
    }
    match &mount.source {
        Source::Tmpfs { .. } => attrs |= Attrs::MOUNT_ATTR_NOSUID,
        Source::Content { mode, .. } if mode & 0o111 != 0 => attrs |= closed() - Attrs::MOUNT_ATTR_NOEXEC,
        Source::Content { .. } => attrs |= closed(),
        Source::Lent { programs: Programs::Run, .. } => attrs |= Attrs::MOUNT_ATTR_NOSUID,
        Source::Lent { programs: Programs::Refused, .. } => attrs |= closed(),
        Source::Node { .. } => attrs = Attrs::MOUNT_ATTR_NOSUID | Attrs::MOUNT_ATTR_NOEXEC,
        Source::Host { .. } | Source::Tree { .. } => {}
    }
    MountOp::Show { source: mount.source.clone(), target: mount.target.clone(), attrs }
}
