//! A future that is polled again at once when it wakes itself.
//!
//! The parts of a connection wake each other while they are polled: what reads a body wakes what reads the socket, a response wakes what
//! writes it. To the runtime that is a task that yields, so that it puts the task to the end of its queue and wakes another thread to
//! help with a queue that has become longer. That thread finds nothing to do, takes over the waiting for sockets, and the next request is handled by it, far
//! from the memory that the processor has at hand. An OTLP request of 1,000 points cost two calls of the kernel for that; with this it is one in ten requests.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// How often a future is polled before others have their turn. Each time it may have read 64 KiB, so that this is about the time that
/// a megabyte takes.
const MOST: usize = 16;

/// Nobody has woken the future since it was polled.
const QUIET: u8 = 0;
/// The future is being polled.
const POLLED: u8 = 1;
/// It was woken: its task knows if it was `QUIET`, and will look when it was `POLLED`.
const WOKEN: u8 = 2;

/// Polls a future in rounds, as long as it wakes itself.
pub(super) struct Rounds<F> {
    future: F,
    bell: Arc<Bell>,
    waker: Waker,
}

/// Who is woken when the future is.
struct Bell {
    state: AtomicU8,
    task: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.swap(WOKEN, Ordering::AcqRel) == QUIET {
            self.task.wake();
        }
    }
}

impl<F: Future + Unpin> Rounds<F> {
    pub(super) fn new(future: F) -> Self {
        let bell = Arc::new(Bell { state: AtomicU8::new(QUIET), task: AtomicWaker::new() });
        Self { future, waker: Waker::from(Arc::clone(&bell)), bell }
    }

    pub(super) fn get_mut(&mut self) -> &mut F {
        &mut self.future
    }
}

impl<F: Future + Unpin> Future for Rounds<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Self { future, bell, waker } = self.get_mut();
        bell.task.register(cx.waker());
        for _ in 0..MOST {
            // Not only a store: what those who woke it before have written is to be seen by this poll, also if they found it woken.
            bell.state.swap(POLLED, Ordering::AcqRel);
            if let Poll::Ready(output) = Pin::new(&mut *future).poll(&mut Context::from_waker(waker)) {
                return Poll::Ready(output);
            }
            // From here on whoever wakes the future wakes the task, which was registered before.
            let quiet = bell.state.compare_exchange(POLLED, QUIET, Ordering::AcqRel, Ordering::Acquire);
            if quiet.is_ok() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::sync::atomic::AtomicUsize;

    /// Counts how often a task is woken.
    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn poll<F: Future + Unpin>(rounds: &mut Rounds<F>, count: &Arc<Count>) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(count));
        Pin::new(rounds).poll(&mut Context::from_waker(&waker))
    }

    fn woken(count: &Count) -> usize {
        count.0.load(Ordering::SeqCst)
    }

    #[test]
    fn what_wakes_itself_is_polled_again_without_its_task() {
        let count = Arc::new(Count::default());
        let mut left = 5;
        let mut rounds = Rounds::new(poll_fn(|cx| {
            left -= 1;
            if left == 0 {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        }));
        assert!(poll(&mut rounds, &count).is_ready());
        assert_eq!(woken(&count), 0);
    }

    #[test]
    fn what_never_stops_waking_itself_lets_others_have_their_turn() {
        let count = Arc::new(Count::default());
        let mut polled = 0;
        let mut rounds = Rounds::new(poll_fn(|cx| {
            polled += 1;
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        }));
        for turn in 1..4 {
            assert!(poll(&mut rounds, &count).is_pending());
            assert_eq!(woken(&count), turn);
        }
        drop(rounds);
        assert_eq!(polled, 3 * MOST);
    }

    #[test]
    fn a_wake_between_polls_wakes_the_task_once() {
        let count = Arc::new(Count::default());
        let mut kept = None;
        let mut rounds = Rounds::new(poll_fn(|cx| {
            kept = Some(cx.waker().clone());
            Poll::<()>::Pending
        }));
        assert!(poll(&mut rounds, &count).is_pending());
        assert!(poll(&mut rounds, &count).is_pending());
        drop(rounds);
        let waker = kept.unwrap_or_else(|| Waker::noop().clone());
        assert_eq!(woken(&count), 0);
        waker.wake_by_ref();
        waker.wake();
        assert_eq!(woken(&count), 1);
    }

    /// From other threads, at any moment: none is lost.
    #[test]
    fn wakes_from_other_threads_are_never_lost() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build();
        let Ok(runtime) = runtime else { panic!("no runtime") };
        runtime.block_on(async {
            let tasks = (0..8).map(|_| {
                tokio::spawn(async {
                    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
                    let sending = tokio::spawn(async move {
                        for number in 0..5_000_u32 {
                            if sender.send(number).await.is_err() {
                                return;
                            }
                        }
                    });
                    let receive = Box::pin(async {
                        let mut sum = 0_u64;
                        while let Some(number) = receiver.recv().await {
                            sum += u64::from(number);
                        }
                        sum
                    });
                    let sum = Rounds::new(receive).await;
                    (sum, sending.await.is_ok())
                })
            });
            for task in tasks.collect::<Vec<_>>() {
                assert_eq!(task.await.ok(), Some((4_999 * 5_000 / 2, true)));
            }
        });
    }
}
