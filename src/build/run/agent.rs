//! The socket of an ssh agent for one command: a socket of its own, with the owner it asks for, behind which every
//! connection is passed on to the agent of the host, or answered here with keys that were read from files.

use std::io;
use std::net::Shutdown;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use crate::build::commands::Agent;
use crate::fsx::{self, At as _};
use crate::plan::FileOwner;

/// The name of the socket in its folder.
const NAME: &str = "agent";

/// Passes connections on until it is dropped.
pub(super) struct Relay {
    folder: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// A socket in `folder` that leads to `agent`.
    pub(super) fn start(folder: &Path, agent: &Agent, owner: FileOwner) -> fsx::Result<Self> {
        // A path of more than 108 bytes fits into no address; the open folder's is short.
        let open = fsx::open(folder)?;
        let short = PathBuf::from(format!("/proc/self/fd/{}/{NAME}", open.as_raw_fd()));
        let path = folder.join(NAME);
        let listener = UnixListener::bind(&short).at("bind the socket", &path)?;
        std::os::unix::fs::chown(&path, Some(owner.uid), Some(owner.gid)).at("change the owner of", &path)?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(owner.mode & 0o777);
        std::fs::set_permissions(&path, mode).at("change the mode of", &path)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (asked, agent) = (stop.clone(), agent.clone());
        let serve = move || serve(&listener, &agent, &asked);
        let thread = thread::Builder::new().spawn(serve).at("start a thread for the socket", &path)?;
        Ok(Self { folder: folder.to_path_buf(), stop, thread: Some(thread) })
    }

    /// Where the socket is.
    pub(super) fn path(&self) -> PathBuf {
        self.folder.join(NAME)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the thread up. If nobody can connect, it cannot be woken, and ends with the process.
        let woken = fsx::open(&self.folder)
            .is_ok_and(|open| UnixStream::connect(format!("/proc/self/fd/{}/{NAME}", open.as_raw_fd())).is_ok());
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            let _panicked = thread.join();
        }
    }
}

fn serve(listener: &UnixListener, agent: &Agent, stop: &AtomicBool) {
    for connection in listener.incoming() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let Ok(connection) = connection else { continue };
        // Without a thread for it, the connection is closed: the step sees an agent that does not answer.
        let _busy = match agent {
            Agent::Socket(path) => {
                // An agent that is gone shows as a closed connection, as it does on the host.
                let Ok(agent) = UnixStream::connect(path) else { continue };
                thread::Builder::new().spawn(move || relay(&connection, &agent))
            }
            Agent::Keys(keys) => {
                let keys = keys.clone();
                thread::Builder::new().spawn(move || {
                    // However it ends, the connection is closed.
                    let _broken = keys.serve(&mut &connection);
                })
            }
        };
    }
}

/// Copies both ways until both sides have ended.
fn relay(step: &UnixStream, agent: &UnixStream) {
    thread::scope(|scope| {
        if thread::Builder::new().spawn_scoped(scope, || pass_on(step, agent)).is_ok() {
            pass_on(agent, step);
        }
    });
}

fn pass_on(mut from: &UnixStream, mut to: &UnixStream) {
    // However it ends, the other side is told that nothing more comes.
    let _broken = io::copy(&mut from, &mut to);
    let _closed = to.shutdown(Shutdown::Write);
}
