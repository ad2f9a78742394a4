//! Taking back what was done when a later step fails.

use crate::Result;

/// Steps that take back, in the order in which they were earned.
#[derive(Default)]
pub(crate) struct Undo(Vec<Box<dyn FnOnce() -> Result<()>>>);

impl Undo {
    pub(crate) fn push(&mut self, step: impl FnOnce() -> Result<()> + 'static) {
        self.0.push(Box::new(step));
    }

    /// Newest first. What fails is said, and the others are taken back all the same.
    pub(crate) fn run(self) {
        for step in self.0.into_iter().rev() {
            if let Err(error) = step() {
                eprintln!("[WARNING] while taking back what was installed: {error}");
            }
        }
    }
}
