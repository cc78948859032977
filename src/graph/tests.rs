//! What answers mean, and how calls behave in time: with a stand-in for the network and tokio's clock held.

mod batches;
mod fuzz;
mod hanging;
mod meanings;
mod network;
mod outages;
mod patience;
mod stand_in;
mod tokens;
mod waiting;
mod writing;
