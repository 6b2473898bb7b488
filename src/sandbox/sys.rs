//! The system calls that have no safe form elsewhere, one a function. All `unsafe` of the crate is in this file.
#![expect(unsafe_code, reason = "fork, exec, seccomp, mount_setattr and the like have no safe wrappers")]

use std::ffi::{CStr, CString};
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd};
use std::ptr;

use rustix::io::{Errno, Result};
use rustix::process::Pid;

use super::seccomp::Instruction;

/// Where a forked process goes on.
#[derive(Debug)]
pub(super) enum Forked {
    /// In the parent, with the child's number.
    Parent(Pid),
    /// In the child.
    Child,
}

fn check(result: libc::c_long) -> Result<libc::c_long> {
    if result == -1 {
        return Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO));
    }
    Ok(result)
}

/// Forks this process, which must have a single thread.
pub(super) fn fork() -> Result<Forked> {
    // SAFETY: the helper process never starts a thread, so the child may go on using everything.
    let pid = unsafe { libc::fork() };
    check(pid.into())?;
    Ok(Pid::from_raw(pid).map_or(Forked::Child, Forked::Parent))
}

/// Ends this process without running anything more of it.
pub(super) fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` takes any number and does not return.
    unsafe { libc::_exit(code) }
}

/// The kernel's `struct mount_attr`.
#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns: u64,
}

/// Sets and clears `MOUNT_ATTR_*` of the one mount that `mount` is the root of.
pub(super) fn mount_setattr(mount: impl AsFd, set: u64, clear: u64) -> Result<()> {
    let attr = MountAttr { set, clear, propagation: 0, userns: 0 };
    let fd = mount.as_fd().as_raw_fd();
    // SAFETY: the path is a C string, and `attr` is a `struct mount_attr` of the size given; both outlive the call.
    let result = unsafe {
        let path: *const libc::c_char = c"".as_ptr();
        libc::syscall(
            libc::SYS_mount_setattr,
            fd,
            path,
            libc::AT_EMPTY_PATH,
            &raw const attr,
            mem::size_of::<MountAttr>(),
        )
    };
    check(result).map(|_zero| ())
}

/// The kernel's `struct sock_fprog`.
#[repr(C)]
struct FilterProgram {
    length: u16,
    filter: *const Instruction,
}

/// Puts this process and all it starts under a filter; needs `SYS_ADMIN` or no-new-privileges.
pub(super) fn install_filter(program: &[Instruction]) -> Result<()> {
    let length = u16::try_from(program.len()).map_err(|_too_long| Errno::INVAL)?;
    let program = FilterProgram { length, filter: program.as_ptr() };
    // Without this flag the kernel slows down the process's speculation for good.
    let flags = libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    // SAFETY: `program` points to `length` instructions laid out as `struct sock_filter`, which outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    check(result).map(|_zero| ())
}

/// Leaves the caller's session keyring for a new, empty one.
pub(super) fn new_session_keyring() -> Result<()> {
    const JOIN_SESSION: libc::c_long = 1;
    // SAFETY: a null name asks for a keyring without one; nothing else is passed.
    let result = unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION, ptr::null::<libc::c_char>()) };
    check(result).map(|_serial| ())
}

/// The kernel's `struct sigaction`; libc's function keeps two signals for itself, which a caller may have ignored.
#[repr(C)]
struct KernelAction {
    handler: usize,
    flags: libc::c_ulong,
    restorer: usize,
    mask: u64,
}

/// Gives every signal its default action.
pub(super) fn default_signals() {
    let action = KernelAction { handler: libc::SIG_DFL, flags: 0, restorer: 0, mask: 0 };
    for signal in 1..=64 {
        // SAFETY: `action` is laid out as the kernel's and asks for no handler; the signals that cannot be set are refused,
        // which is no harm.
        unsafe {
            let no_old = ptr::null_mut::<KernelAction>();
            libc::syscall(libc::SYS_rt_sigaction, signal, &raw const action, no_old, mem::size_of::<u64>());
        }
    }
}

/// Lets this process write to a terminal whose foreground another group has, whatever the terminal's settings.
pub(super) fn ignore_background_writes() -> Result<()> {
    // SAFETY: no handler is installed, so no code of ours runs in one.
    let old = unsafe { libc::signal(libc::SIGTTOU, libc::SIG_IGN) };
    if old == libc::SIG_ERR { Err(Errno::INVAL) } else { Ok(()) }
}

fn all_signals() -> libc::sigset_t {
    // SAFETY: a zeroed `sigset_t` is a valid object, and `sigfillset` only writes to it.
    unsafe {
        let mut set = mem::zeroed();
        libc::sigfillset(&raw mut set);
        set
    }
}

/// Blocks every signal and returns a descriptor that is readable when a child has ended.
pub(super) fn block_signals_but_watch_children() -> Result<OwnedFd> {
    let all = all_signals();
    // SAFETY: `all` is an initialised set; the old mask is not asked for.
    check(unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const all, ptr::null_mut()) }.into())?;
    // SAFETY: a zeroed `sigset_t` is a valid, empty set, and `sigaddset` only writes to it.
    let children = unsafe {
        let mut set: libc::sigset_t = mem::zeroed();
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        set
    };
    // SAFETY: `children` is an initialised set.
    let fd = unsafe { libc::signalfd(-1, &raw const children, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    check(fd.into())?;
    // SAFETY: the descriptor was just made and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Blocks no signal.
pub(super) fn unblock_signals() -> Result<()> {
    // SAFETY: a zeroed `sigset_t` is a valid, empty set.
    let none: libc::sigset_t = unsafe { mem::zeroed() };
    // SAFETY: `none` is an initialised set; the old mask is not asked for.
    check(unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut()) }.into()).map(|_zero| ())
}

/// What all children that were waited for have used: the largest resident set in KiB, user and system microseconds.
pub(super) fn children_usage() -> (u64, u64, u64) {
    // SAFETY: a zeroed `rusage` is a valid object.
    let mut usage: libc::rusage = unsafe { mem::zeroed() };
    // SAFETY: `usage` is writable for the length of the call, which cannot fail with these arguments.
    unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage) };
    let micros = |time: libc::timeval| {
        u64::try_from(time.tv_sec).unwrap_or(0).saturating_mul(1_000_000) + u64::try_from(time.tv_usec).unwrap_or(0)
    };
    (u64::try_from(usage.ru_maxrss).unwrap_or(0), micros(usage.ru_utime), micros(usage.ru_stime))
}

/// Becomes another program; returns only if that fails.
pub(super) fn execute(program: &CStr, argv: &[CString], env: &[CString]) -> Errno {
    let pointers = |strings: &[CString]| {
        strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect::<Vec<*const libc::c_char>>()
    };
    let (argv, env) = (pointers(argv), pointers(env));
    // SAFETY: both arrays end with a null pointer and point to C strings; all outlive the call.
    let result = unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    check(result.into()).err().unwrap_or(Errno::IO)
}

/// Whether `close_descriptors_from` closes now or when another program is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closing {
    /// Now. Nothing in this process may own any of them.
    Now,
    /// On exec.
    OnExec,
}

/// Closes every descriptor from 3 on.
pub(super) fn close_descriptors(when: Closing) -> Result<()> {
    let flags = match when {
        Closing::Now => 0,
        Closing::OnExec => libc::CLOSE_RANGE_CLOEXEC,
    };
    // SAFETY: with `Now`, which is called before anything was opened, no object owns these descriptors; otherwise none closes.
    check(unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, flags) }).map(|_zero| ())
}

/// Turns on the loopback interface of this network namespace.
pub(super) fn raise_loopback(socket: impl AsFd) -> Result<()> {
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: a zeroed `ifreq` is a valid object.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    // SAFETY: `request` is an `ifreq` with a name that ends with NUL.
    check(unsafe { libc::ioctl(fd, libc::SIOCGIFFLAGS, &raw mut request) }.into())?;
    // SAFETY: the kernel has just written this member of the union.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    request.ifr_ifru.ifru_flags = flags | i16::try_from(libc::IFF_UP).unwrap_or(1);
    // SAFETY: `request` is an `ifreq` with a name that ends with NUL and its flags set.
    check(unsafe { libc::ioctl(fd, libc::SIOCSIFFLAGS, &raw mut request) }.into()).map(|_zero| ())
}

/// Leaves namespaces.
pub(super) fn unshare(flags: rustix::thread::UnshareFlags) -> Result<()> {
    // SAFETY: only namespaces are asked for, never the descriptor table, which could invalidate owned descriptors.
    unsafe { rustix::thread::unshare_unsafe(flags) }
}

/// Sends a signal to every process of this process namespace but this one, which must be its process 1.
pub(super) fn signal_all(signal: rustix::process::Signal) -> Result<()> {
    if rustix::process::getpid() != Pid::INIT {
        return Err(Errno::PERM);
    }
    // SAFETY: `kill` takes any numbers.
    check(unsafe { libc::kill(-1, signal.as_raw()) }.into()).map(|_zero| ())
}
