//! The terminal: raw mode that is always undone, and its size.

use std::sync::Mutex;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// The settings to go back to, while the terminal is raw.
static SAVED: Mutex<Option<Termios>> = Mutex::new(None);

/// Raw mode of standard input until dropped.
pub struct Raw(());

impl Raw {
    /// Nothing when standard input is not a terminal.
    pub fn enter() -> Option<Self> {
        let stdin = rustix::stdio::stdin();
        let settings = tcgetattr(stdin).ok()?;
        let mut raw = settings.clone();
        raw.make_raw();
        *SAVED.lock().ok()? = Some(settings);
        restore_on_panic();
        tcsetattr(stdin, OptionalActions::Flush, &raw).ok()?;
        Some(Self(()))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

/// Leaves raw mode, if it was entered. Called also where destructors do not run: before the process ends itself.
pub fn restore() {
    let saved = SAVED.lock().ok().and_then(|mut saved| saved.take());
    let restored = saved.map(|settings| tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &settings));
    if let Some(Err(_gone)) = restored {
        // Without a terminal there is nothing to restore.
    }
}

fn restore_on_panic() {
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        restore();
        previous(info);
    }));
}

/// Rows and columns of the terminal on standard output; none when there is none.
pub fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(rustix::stdio::stdout()).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}

/// The width to wrap help texts at.
pub fn columns() -> usize {
    size().map_or(80, |(_, columns)| usize::from(columns))
}
