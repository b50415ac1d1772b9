//! A terminal that does not show what is typed.

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// As long as it lives, what is typed is not shown.
pub(crate) struct Hidden(Option<Termios>);

/// Hides what is typed from now on; without a terminal there is nothing to hide.
pub(crate) fn hide() -> Hidden {
    let Ok(before) = tcgetattr(std::io::stdin()) else {
        return Hidden(None);
    };
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    let hidden = tcsetattr(std::io::stdin(), OptionalActions::Now, &silent);
    Hidden(hidden.is_ok().then_some(before))
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // A terminal that is gone needs no echo.
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, before);
        }
    }
}
