//! Bytes that go to the disk while more of them are written.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

/// So many bytes are worth a sync of their own. Fewer than that take no time that anyone would notice at the end.
const STRETCH: usize = 32 << 20;

/// So many zeros at once are not written.
const HOLE: usize = 4 << 10;

/// Whether the bytes are better stepped over than written: nothing but zeros, and enough of them.
pub fn is_hole(bytes: &[u8]) -> bool {
    bytes.len() >= HOLE && bytes.iter().all(|&byte| byte == 0)
}

/// A file whose bytes a thread syncs while more are written, so that the sync at the end has little to wait for. Runs of zeros
/// become holes.
///
/// A small file has no thread. Until `sync` the file may be shorter than what was written. Dropped without `sync`, the bytes
/// may be anywhere between here and the disk.
#[derive(Debug)]
pub struct WriteBehind {
    file: File,
    /// Zeros that were to be written last.
    hole: u64,
    /// Bytes since the thread was last asked.
    waiting: usize,
    syncer: Option<Syncer>,
}

/// The thread, and how it is asked for one more sync.
#[derive(Debug)]
struct Syncer {
    ask: SyncSender<()>,
    thread: JoinHandle<io::Result<()>>,
}

impl WriteBehind {
    /// For a file that is written through this alone.
    pub fn new(file: File) -> Self {
        Self { file, hole: 0, waiting: 0, syncer: None }
    }

    /// The file, for its metadata.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Returns once all that was written is on the disk, or with the error of the first sync that failed.
    pub fn sync(&mut self) -> io::Result<()> {
        // Its failure counts: the kernel tells only once of bytes that it could not write.
        self.syncer.take().map_or(Ok(()), Syncer::finish)?;
        if self.hole > 0 {
            let end = self.step_over()?;
            self.file.set_len(end)?;
        }
        self.file.sync_all()
    }

    /// Goes on behind the zeros, and says where that is.
    fn step_over(&mut self) -> io::Result<u64> {
        let hole = i64::try_from(std::mem::take(&mut self.hole)).map_err(io::Error::other)?;
        self.file.seek(SeekFrom::Current(hole))
    }

    fn sync_soon(&mut self) {
        if self.syncer.is_none() {
            // Without a thread, everything waits for the end.
            self.syncer = self.file.try_clone().and_then(Syncer::start).ok();
        }
        if let Some(syncer) = &self.syncer {
            // One that is busy, or has failed, needs no second word.
            let _unused = syncer.ask.try_send(());
        }
    }
}

impl Write for WriteBehind {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if is_hole(bytes) {
            self.hole += bytes.len() as u64;
            return Ok(bytes.len());
        }
        if self.hole > 0 {
            self.step_over()?;
        }
        let count = self.file.write(bytes)?;
        self.waiting += count;
        if self.waiting >= STRETCH {
            self.waiting = 0;
            self.sync_soon();
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for WriteBehind {
    /// Nothing holds the file open any more afterwards.
    fn drop(&mut self) {
        if let Some(syncer) = self.syncer.take() {
            // Nobody will use these bytes.
            let _unused = syncer.finish();
        }
    }
}

impl Syncer {
    fn start(file: File) -> io::Result<Self> {
        let (ask, asked) = sync_channel::<()>(1);
        let work = move || asked.iter().try_for_each(|()| file.sync_data());
        let thread = Builder::new().name("write-behind".to_owned()).spawn(work)?;
        Ok(Self { ask, thread })
    }

    /// Waits for what was asked.
    fn finish(self) -> io::Result<()> {
        drop(self.ask);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device that takes every byte and cannot be synced.
    fn unsyncable() -> File {
        File::options().write(true).open("/dev/null").expect("it is on every machine")
    }

    #[test]
    fn a_large_file_arrives_whole_and_in_order() {
        let folder = tempfile::tempdir().expect("there is a folder for temporary files");
        let path = folder.path().join("file");
        let mut behind = WriteBehind::new(File::create(&path).expect("created"));
        let piece: Vec<u8> = (0..=250).cycle().take(STRETCH / 4 + 1).collect();
        for _ in 0..9 {
            behind.write_all(&piece).expect("written");
        }
        assert!(behind.syncer.is_some(), "there was enough for a thread");
        behind.sync().expect("synced");
        assert!(behind.syncer.is_none(), "and it has ended");
        let found = std::fs::read(&path).expect("read");
        assert!(found == piece.repeat(9), "{} bytes, not those that were written", found.len());
    }

    #[test]
    fn zeros_take_no_room_and_are_there() {
        let folder = tempfile::tempdir().expect("there is a folder for temporary files");
        let (zeros, text) = (vec![0; 8 << 20], b"text");
        for pieces in [&[&zeros[..]][..], &[&zeros, text], &[text, &zeros, &zeros, text, &zeros], &[text, &zeros[..9]]]
        {
            let path = folder.path().join("file");
            let mut behind = WriteBehind::new(File::create(&path).expect("created"));
            for piece in pieces {
                behind.write_all(piece).expect("written");
            }
            behind.sync().expect("synced");
            assert!(std::fs::read(&path).expect("read") == pieces.concat());
            let room = std::os::unix::fs::MetadataExt::blocks(&behind.file().metadata().expect("stat")) * 512;
            assert!(room < 1 << 20, "{room} bytes on the disk");
        }
    }

    #[test]
    fn a_small_file_has_no_thread() {
        let folder = tempfile::tempdir().expect("there is a folder for temporary files");
        let mut behind = WriteBehind::new(File::create(folder.path().join("file")).expect("created"));
        behind.write_all(&vec![1; STRETCH - 1]).expect("written");
        assert!(behind.syncer.is_none());
        behind.sync().expect("synced");
    }

    #[test]
    fn what_the_thread_could_not_sync_is_told_by_sync() {
        let mut behind = WriteBehind::new(unsyncable());
        behind.write_all(&vec![1; STRETCH]).expect("the device takes everything");
        let syncer = behind.syncer.take().expect("there is a thread");
        let error = syncer.finish().expect_err("the device cannot be synced");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);

        behind.write_all(&vec![1; STRETCH]).expect("the device takes everything");
        assert!(behind.syncer.is_some(), "another thread");
        let told = behind.sync().expect_err("the device cannot be synced");
        assert_eq!(told.kind(), error.kind());
        assert!(behind.syncer.is_none(), "the thread has ended");
    }
}
