//! The one place that writes: events come from any thread, frames from a thread that ticks.

use std::io::{self, Write};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::plain::{Naming, Plain};
use super::quiet::Quiet;
use super::rawjson::RawJson;
use super::tty::Tty;
use super::{Choice, Size, Summary, Surroundings, View, ViewKind};
use crate::build::BuildEvent;

/// Ten frames a second: elapsed times are shown in tenths.
const TICK: Duration = Duration::from_millis(100);
/// For a terminal that does not tell its size.
const USUAL: Size = Size { columns: 80, rows: 24 };

/// A view that is being shown.
///
/// Call `finish` at the end; dropped without it, only the ticking stops.
#[must_use = "events are shown only while it lives"]
pub struct Progress {
    screen: Arc<Screen>,
    kind: ViewKind,
    ticker: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
}

/// The view and the stream it is written to, under locks of their own: a terminal that is stopped stops no build.
struct Screen {
    view: Mutex<Box<dyn View>>,
    output: Mutex<Output>,
    size: fn() -> Size,
    started: Instant,
}

struct Output {
    stream: Box<dyn Write + Send>,
    broken: Option<io::Error>,
}

impl Progress {
    /// Shows a build that starts now on standard error, in the view that was chosen.
    pub fn start(choice: Choice, surroundings: &Surroundings) -> Self {
        Self::on(choice, surroundings, Box::new(io::stderr()), terminal_size)
    }

    /// The same for several images: where lines of their steps stand among each other, they begin with the image's name.
    pub fn start_named(choice: Choice, surroundings: &Surroundings) -> Self {
        Self::with(choice, surroundings, Naming::Images, Box::new(io::stderr()), terminal_size)
    }

    /// As `start`, on any stream.
    pub(super) fn on(
        choice: Choice,
        surroundings: &Surroundings,
        out: Box<dyn Write + Send>,
        size: fn() -> Size,
    ) -> Self {
        Self::with(choice, surroundings, Naming::Steps, out, size)
    }

    fn with(
        choice: Choice,
        surroundings: &Surroundings,
        naming: Naming,
        out: Box<dyn Write + Send>,
        size: fn() -> Size,
    ) -> Self {
        let kind = choice.view(surroundings);
        let colours = surroundings.colours();
        let view: Box<dyn View> = match kind {
            ViewKind::Tty => Box::new(Tty::new(colours)),
            ViewKind::Plain if naming == Naming::Images => Box::new(Plain::of_images(colours)),
            ViewKind::Plain => Box::new(Plain::new(colours)),
            ViewKind::RawJson => Box::new(RawJson::new(jiff::Timestamp::now())),
            ViewKind::Quiet => Box::new(Quiet::new(colours)),
        };
        let output = Mutex::new(Output { stream: out, broken: None });
        let screen = Arc::new(Screen { view: Mutex::new(view), output, size, started: Instant::now() });
        let ticker = (kind == ViewKind::Tty).then(|| start_ticker(Arc::clone(&screen))).flatten();
        let progress = Self { screen, kind, ticker };
        if choice == Choice::Tty && kind != ViewKind::Tty {
            let text = "standard error is not a terminal that can be redrawn, so progress is plain".to_owned();
            progress.event(&BuildEvent::Note { text });
        }
        progress
    }

    /// Takes note of an event; may be called from any thread.
    pub fn event(&self, event: &BuildEvent) {
        lock(&self.screen.view).event(self.screen.started.elapsed(), event);
        // Without a ticker, which may have failed to start, everything is drawn as it comes.
        if self.ticker.is_none() {
            self.screen.write(|view, now, size| view.draw(now, size));
        }
    }

    /// Which view is shown.
    pub fn kind(&self) -> ViewKind {
        self.kind
    }

    /// Ends the view: the tail of a failed step, or the closing line; `quiet` writes the image's id to `stdout`.
    ///
    /// Fails if anything could not be written, now or before.
    pub fn finish(mut self, summary: &Summary, stdout: &mut dyn Write) -> io::Result<()> {
        self.stop();
        self.screen.write(|view, now, size| view.finish(now, size, summary));
        if let Some(error) = lock(&self.screen.output).broken.take() {
            return Err(error);
        }
        match (self.kind, summary) {
            (ViewKind::Quiet, Summary::Built { image, .. }) => {
                writeln!(stdout, "{image}")?;
                stdout.flush()
            }
            (ViewKind::Quiet, Summary::BuiltAll { images, .. }) => {
                for built in images {
                    writeln!(stdout, "{}", built.image)?;
                }
                stdout.flush()
            }
            (ViewKind::Quiet | ViewKind::Tty | ViewKind::Plain | ViewKind::RawJson, _) => Ok(()),
        }
    }

    fn stop(&mut self) {
        if let Some((stop, thread)) = self.ticker.take() {
            drop(stop);
            // A ticker that panicked has told so itself, and everything can still be drawn.
            let _ended = thread.join();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Screen {
    /// Writes what the view has to say, in one write. After a failure nothing is written any more.
    fn write(&self, text: impl FnOnce(&mut dyn View, Duration, Size) -> String) {
        // Taken first, so that texts are written in the order in which the view gave them out.
        let mut output = lock(&self.output);
        let text = text(lock(&self.view).as_mut(), self.started.elapsed(), (self.size)());
        if text.is_empty() || output.broken.is_some() {
            return;
        }
        let written = output.stream.write_all(text.as_bytes()).and_then(|()| output.stream.flush());
        output.broken = written.err();
    }
}

/// None if no thread can be started: then frames come with events only.
fn start_ticker(screen: Arc<Screen>) -> Option<(mpsc::Sender<()>, JoinHandle<()>)> {
    let (stop, stopped) = mpsc::channel();
    let tick = move || {
        while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
            screen.write(|view, now, size| view.draw(now, size));
        }
    };
    let thread = std::thread::Builder::new().name("progress".to_owned()).spawn(tick).ok()?;
    Some((stop, thread))
}

/// What another thread left behind when it panicked is still worth showing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn terminal_size() -> Size {
    match rustix::termios::tcgetwinsize(rustix::stdio::stderr()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
            Size { columns: usize::from(size.ws_col), rows: usize::from(size.ws_row) }
        }
        _ => USUAL,
    }
}
