//! Steps that are undone in reverse when a later one fails.

use crate::error::Error;

type Step<'a> = Box<dyn FnOnce() -> Result<(), Error> + 'a>;

/// What has been done so far. Dropping it keeps everything.
#[derive(Default)]
pub(crate) struct Undo<'a> {
    steps: Vec<(&'static str, Step<'a>)>,
}

impl<'a> Undo<'a> {
    pub(crate) fn push(&mut self, what: &'static str, step: impl FnOnce() -> Result<(), Error> + 'a) {
        self.steps.push((what, Box::new(step)));
    }

    /// Undoes everything, last step first, and returns `cause`: what could not be undone is logged with it, because
    /// the caller can act on the cause only.
    pub(crate) fn roll_back(self, cause: Error) -> Error {
        for (what, step) in self.steps.into_iter().rev() {
            if let Err(error) = step() {
                tracing::warn!(%error, %cause, "cannot undo: {what}");
            }
        }
        cause
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn the_last_step_is_undone_first_and_a_failing_one_stops_none() {
        let log = RefCell::new(Vec::new());
        let mut undo = Undo::default();
        undo.push("one", || {
            log.borrow_mut().push(1);
            Ok(())
        });
        undo.push("two", || {
            log.borrow_mut().push(2);
            Err(Error::PoolsExhausted)
        });
        undo.push("three", || {
            log.borrow_mut().push(3);
            Ok(())
        });
        let cause = undo.roll_back(Error::NotFound { name: "x".into() });
        assert!(matches!(cause, Error::NotFound { .. }));
        assert_eq!(*log.borrow(), [3, 2, 1]);
    }
}
