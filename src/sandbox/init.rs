//! The helper process: makes the namespaces and the root filesystem, then starts process 1.
//!
//! Three processes of ours stand between the caller and the step. The *helper*, in the caller's process namespace, makes
//! everything and waits. The *reaper* is process 1 of the step's outermost process namespace; when it dies, the kernel kills
//! all that is in it. The *step* is our own code until it executes the step's program.

use std::ffi::OsStr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags as Attrs, MountPropagationFlags, MoveMountFlags, mount_change, move_mount};
use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal, WaitOptions};
use rustix::thread::UnshareFlags;

use super::footprint::Notes;
use super::furnish::{self, Room};
use super::mounts;
use super::overlay::{self, Place, Writable};
use super::reaper;
use super::spec::{Network, Spec};
use super::sys::{self, Closing, Forked};
use super::wire::{self, Doing as _, Failure, Footprint, Report, Request};

/// What the helper process is called in place of the program's name.
pub(super) const NAME: &str = "rbuild-sandbox";

/// Whether this process was started as a sandbox helper; `first_argument` is the first of its command line.
pub fn is_init_invocation(first_argument: Option<&OsStr>) -> bool {
    first_argument == Some(OsStr::new(NAME))
}

/// Serves as a sandbox helper. Must be called before this process has a second thread or opens anything.
pub fn init_main() -> ! {
    sys::exit_now(match serve() {
        Ok(()) => 0,
        // Without a caller to tell there is nobody to hear why.
        Err(_failure) => 1,
    })
}

/// What the helper holds on to.
pub(super) struct Helper {
    /// The socket to the caller. The step's own code uses it until it executes the program.
    pub(super) control: UnixStream,
    /// The host's `/dev/null`.
    pub(super) null: OwnedFd,
}

impl Helper {
    /// Tells the caller; a caller that is gone needs to know nothing.
    pub(super) fn tell(&self, report: &Report) {
        // The process ends soon, and nobody else could be told.
        let _unheard = wire::send(&self.control, report);
    }

    /// Lets go of the pipes that are the step's output.
    pub(super) fn drop_stdio(&self) -> rustix::io::Result<()> {
        rustix::stdio::dup2_stdin(&self.null)?;
        rustix::stdio::dup2_stdout(&self.null)?;
        rustix::stdio::dup2_stderr(&self.null)
    }
}

fn serve() -> std::io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // Nobody may look into this process or its children until they execute the step's program.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    sys::close_descriptors(Closing::Now)?;
    // Ctrl-C on the terminal is for the caller, who asks the step to end.
    rustix::process::setsid()?;
    rustix::thread::set_name(c"rbuild-sandbox")?;
    rustix::process::umask(Mode::empty());
    // Every layer is one descriptor.
    let open_files = rustix::process::getrlimit(Resource::Nofile);
    rustix::process::setrlimit(Resource::Nofile, Rlimit { current: open_files.maximum, ..open_files })?;
    let control = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    // If the caller died before the death signal was asked for, this is the end of the stream.
    let request = wire::receive(&control)?;
    let null = rustix::fs::open(c"/dev/null", rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC, Mode::empty())?;
    let helper = Helper { control, null };
    let done = match request {
        Request::Run(spec) => run(&helper, &spec),
        Request::Probe(folder) => {
            super::probe::try_out(&folder).map(|()| helper.tell(&Report::Ready(Footprint::default())))
        }
    };
    if let Err(failure) = done {
        helper.tell(&Report::Failed(failure));
    }
    Ok(())
}

fn run(helper: &Helper, spec: &Spec) -> Result<(), Failure> {
    namespaces(spec.network)?;
    let footprint = furnish(spec)?;
    rustix::system::sethostname(spec.hostname.as_bytes()).doing("set the host name", &spec.hostname)?;
    // The name the kernel starts with; the new namespace has copied the host's.
    rustix::system::setdomainname(b"(none)").doing("set the domain name", "")?;
    helper.tell(&Report::Ready(footprint));
    match sys::fork().doing("start a process", "")? {
        Forked::Child => reaper::main(helper, spec),
        Forked::Parent(reaper) => {
            helper.drop_stdio().doing("redirect standard output", "")?;
            wait_for(reaper)
        }
    }
}

fn wait_for(pid: rustix::process::Pid) -> Result<(), Failure> {
    loop {
        match rustix::process::waitpid(Some(pid), WaitOptions::empty()) {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error).doing("wait for the step", ""),
        }
    }
}

/// Leaves every namespace of the host's, except its network if the step is to have that. Processes forked from now on are
/// in a new process namespace.
pub(super) fn namespaces(network: Network) -> Result<(), Failure> {
    let mut flags = UnshareFlags::NEWNS | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS | UnshareFlags::NEWPID;
    match network {
        Network::Host => {}
        Network::None => flags |= UnshareFlags::NEWNET,
    }
    sys::unshare(flags).doing("make namespaces", "")?;
    // Kernels and hosts without cgroup namespaces lose nothing but the hiding of a name.
    let _unsupported = sys::unshare(UnshareFlags::NEWCGROUP);
    mount_change(c"/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)
        .doing("make private the mounts", "")?;
    if network == Network::None {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
        let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
            .doing("open a socket of the new network", "")?;
        sys::raise_loopback(&socket).doing("turn on the loopback interface", "")?;
    }
    Ok(())
}

/// Makes the root filesystem with everything on it but `/proc`, and enters it.
fn furnish(spec: &Spec) -> Result<Footprint, Failure> {
    let work = furnish::open_folder(rustix::fs::CWD, &spec.work)?;
    let upper = furnish::open_folder(rustix::fs::CWD, &spec.upper)?;
    let mut lowers = Vec::with_capacity(spec.lowers.len());
    for lower in &spec.lowers {
        lowers.push(furnish::open_folder(rustix::fs::CWD, lower)?);
    }
    if lowers.is_empty() {
        // An overlay needs a layer; one in another file system would change what `stat` says of every file.
        lowers.push(fresh(&work, "empty")?);
    }
    let overlay_work = fresh(&work, "overlay")?;
    let staging = staging(&work)?;
    fresh(&staging, "root")?;
    let place = Place { folder: staging.as_fd(), name: "root" };
    let writable = Writable { upper: &upper, work: &overlay_work };
    let root = overlay::mount(&lowers, Some(&writable), place)?;
    drop(lowers);
    let mut room = Room { root: root.as_fd(), staging: staging.as_fd(), notes: Notes::default(), staged: 0 };
    for op in mounts::plan(spec).outside {
        room.carry_out(&op)?;
    }
    let footprint = room.notes.finish()?;
    furnish::enter(root.as_fd())?;
    Ok(footprint)
}

/// Makes a folder and opens it.
pub(super) fn fresh(at: &OwnedFd, name: &str) -> Result<OwnedFd, Failure> {
    rustix::fs::mkdirat(at, name, Mode::RWXU).doing("create", name)?;
    furnish::open_folder(at.as_fd(), Path::new(name))
}

/// A file system in memory over `place`, seen in this namespace only. Descriptors of what it covers go on working.
pub(super) fn staging(place: &OwnedFd) -> Result<OwnedFd, Failure> {
    let attrs = Attrs::MOUNT_ATTR_NODEV | Attrs::MOUNT_ATTR_NOSUID;
    let mount = furnish::filesystem("tmpfs", &[("mode", "700".to_owned())], attrs)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(&mount, c"", place, c"", flags).doing("mount a file system in memory", "")?;
    Ok(mount)
}

/// The root of this process.
pub(super) fn root() -> Result<OwnedFd, Failure> {
    furnish::open_folder(rustix::fs::CWD, Path::new("/"))
}

/// A room without staging, for the second half of a plan.
pub(super) fn entered(root: BorrowedFd<'_>) -> Room<'_> {
    Room { root, staging: root, notes: Notes::default(), staged: 0 }
}
