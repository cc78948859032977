//! Between one process and everything else: where requests are late, lost and refused, and where the process dies or
//! stands still.
//!
//! Only requests have effects, so that a process can die at three kinds of instants: before a request leaves, after it took
//! effect and before its answer arrives, and anywhere else.

use std::sync::{Mutex, PoisonError};

use hybrid_calendar_operator::clock::sleep;
use tokio::sync::watch;

use crate::weather::{Fate, HANG, Mishap, Sky, Way};
use crate::witness::Witness;

/// How a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Alive,
    /// Nothing leaves and nothing arrives until it goes on.
    Standing,
    Dead,
}

/// Where a process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    BeforeRequest,
    AfterEffect,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    Refused,
    Cut,
    /// Whoever answers says that it failed.
    Failing,
}

/// See the module. One for each life of a process.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) name: String,
    state: watch::Sender<State>,
    /// It dies at the request after so many.
    armed: Mutex<Option<(Point, u32)>>,
    sky: Sky,
    witness: Witness,
}

impl Link {
    pub(crate) fn new(name: String, sky: Sky, witness: Witness) -> Self {
        Self {
            name,
            state: watch::Sender::new(State::Alive),
            armed: Mutex::default(),
            sky,
            witness,
        }
    }

    /// Nothing leaves from now on, and nothing arrives.
    pub(crate) fn kill(&self) {
        self.state.send_replace(State::Dead);
    }

    /// It dies at the request after `count` others.
    pub(crate) fn arm(&self, point: Point, count: u32) {
        *self.armed.lock().unwrap_or_else(PoisonError::into_inner) = Some((point, count));
    }

    pub(crate) fn disarm(&self) {
        *self.armed.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(crate) fn stand_still(&self) {
        self.turn(State::Alive, State::Standing);
    }

    pub(crate) fn go_on(&self) {
        self.turn(State::Standing, State::Alive);
    }

    fn turn(&self, from: State, to: State) {
        self.state.send_if_modified(|state| {
            let turns = *state == from;
            if turns {
                *state = to;
            }
            turns
        });
    }

    pub(crate) fn is_dead(&self) -> bool {
        *self.state.borrow() == State::Dead
    }

    /// Until it is dead.
    pub(crate) async fn death(&self) {
        let mut state = self.state.subscribe();
        // The sender is our own.
        let _ = state.wait_for(|state| *state == State::Dead).await;
    }

    /// Until something may pass; an error when nothing ever will.
    async fn passage(&self) -> Result<(), NoAnswer> {
        let mut state = self.state.subscribe();
        match state.wait_for(|state| *state != State::Standing).await {
            Ok(state) if *state == State::Alive => Ok(()),
            Ok(_) | Err(_) => Err(NoAnswer::Refused),
        }
    }

    /// Until the next news of a watch arrives; never at a process that is dead.
    pub(crate) async fn news_arrives(&self) {
        let late = self.sky.lateness();
        if !late.is_zero() {
            sleep(late).await;
        }
        if self.passage().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether the API server refuses every status just now.
    pub(crate) fn statuses_are_refused(&self) -> bool {
        self.sky.refuses_statuses()
    }

    /// Whether the process dies here.
    fn dies(&self, here: Point) -> bool {
        let mut armed = self.armed.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((point, left)) = armed.as_mut().filter(|(point, _)| *point == here) else {
            return false;
        };
        if *left > 0 {
            *left -= 1;
            return false;
        }
        let point = *point;
        *armed = None;
        drop(armed);
        self.witness
            .note(format_args!("{} dies {point:?}", self.name));
        self.kill();
        true
    }

    /// Lets a request of this process pass, or not.
    pub(crate) async fn carry<T>(
        &self,
        way: Way,
        request: impl Future<Output = T>,
    ) -> Result<T, NoAnswer> {
        self.passage().await?;
        let Fate {
            going,
            coming,
            mishap,
        } = self.sky.fate(way);
        if let Some(mishap) = mishap {
            self.witness.count(counted(way));
            match mishap {
                Mishap::Refused => return Err(NoAnswer::Refused),
                Mishap::LostOnTheWay => {
                    sleep(going).await;
                    return Err(NoAnswer::Cut);
                }
                Mishap::Failing => {
                    sleep(going).await;
                    return Err(NoAnswer::Failing);
                }
                Mishap::Hanging => {
                    sleep(HANG).await;
                    return Err(NoAnswer::Cut);
                }
                Mishap::AnswerLost => {}
            }
        }
        if self.dies(Point::BeforeRequest) {
            return std::future::pending().await;
        }
        sleep(going).await;
        self.passage().await?;
        let answer = request.await;
        if self.dies(Point::AfterEffect) {
            return std::future::pending().await;
        }
        sleep(coming).await;
        self.passage().await.map_err(|_| NoAnswer::Cut)?;
        if mishap == Some(Mishap::AnswerLost) {
            return Err(NoAnswer::Cut);
        }
        Ok(answer)
    }
}

const fn counted(way: Way) -> &'static str {
    match way {
        Way::Cluster => "faults of the API server",
        Way::Microsoft => "faults on the way to Graph",
        Way::Copies => "faults between copies",
        Way::Notifications => "faults of notifications",
    }
}
