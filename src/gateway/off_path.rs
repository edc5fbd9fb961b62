//! What few calls need, kept out of the way of the others. The task of a connection is one function to the compiler, with all in it that it
//! may do: the usual call would carry the room of everything else, in the task and on the stack.

use std::pin::Pin;

/// Makes a future in a box. It is made and polled by code of its own.
#[cold]
#[inline(never)]
pub(crate) fn boxed<'a, F>(make: impl FnOnce() -> F) -> Pin<Box<dyn Future<Output = F::Output> + 'a>>
where
    F: Future + 'a,
{
    Box::pin(make())
}

/// Calls what is not to become a part of its caller.
#[inline(never)]
pub(crate) fn call<T>(what: impl FnOnce() -> T) -> T {
    what()
}
