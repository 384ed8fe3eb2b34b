//! Panics of functions of the user, as values.
//!
//! A panic is the failure of a task, or of one record of it, not of a thread: what it said and where it
//! happened are taken from the panic itself, and nothing is printed.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use super::task::Panic;

thread_local! {
    /// Whether this thread's panics are being caught, and the last one.
    static CATCHING: Cell<bool> = const { Cell::new(false) };
    static CAUGHT: RefCell<Option<Panic>> = const { RefCell::new(None) };
}

/// Calls `f`; a panic in it becomes a value.
pub(crate) fn catch<T>(f: impl FnOnce() -> T) -> Result<T, Panic> {
    install();
    let outer = CATCHING.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(f));
    CATCHING.set(outer);
    result.map_err(|payload| {
        let caught = CAUGHT.take();
        caught.unwrap_or_else(|| Panic { message: message(payload.as_ref()), at: None })
    })
}

/// Puts a hook in front of the one there is, once per process. Panics that are not caught here go
/// on to that one.
fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let next = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !CATCHING.get() {
                return next(info);
            }
            let at = info.location().map(|at| (at.file().to_owned(), at.line()));
            let panic = Panic { message: message(info.payload()), at };
            CAUGHT.with(|caught| *caught.borrow_mut() = Some(panic));
        }));
    });
}

/// What a panic says.
pub(crate) fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_value_with_its_place() {
        let number = std::hint::black_box(0u64);
        let caught = catch(|| 1 / number).unwrap_err();
        assert!(caught.message.contains("divide by zero"), "{caught}");
        let (file, line) = caught.at.unwrap();
        assert!(file.ends_with("exec/catch.rs"), "{file}");
        assert!(line > 50);
        let formatted = catch(|| panic!("key {}", 7)).unwrap_err();
        assert_eq!(formatted.message, "key 7");
        assert_eq!(catch(|| 5), Ok(5));
    }

    #[test]
    fn a_payload_of_another_type_is_a_panic_too() {
        let caught = catch(|| panic::panic_any(5u8)).unwrap_err();
        assert_eq!(caught.message, "a panic without a message");
    }
}
