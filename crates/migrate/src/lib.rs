//! `lichen migrate`: what another engine has, over its API, into this user's own.
//!
//! # Theory of operation
//! Both engines speak the Docker API; nothing is read from the other's files. [`plan`] looks at both sides and says for
//! each image, volume, network and container whether it is missing here, the same, or something else under the same
//! name. Without `--apply` that is printed and all. [`apply`] carries the plan out in that order, each object by itself:
//! what fails is told and the rest goes on.
//!
//! # Invariants
//! * The source keeps everything as it is. A volume that no container there uses is read through a container that is
//!   made for that, never started, and removed again.
//! * Nothing here is replaced. An object of the same name that is not the same is reported.
//! * A container is made only when all that it needs is here: its image, its volumes, its networks, those it joins.
//! * A volume that is being filled has a container beside it that says so, from before it is made until it is complete,
//!   and names that container in a label. An interrupted run is known by that to the next one, which begins that volume
//!   anew, and no other: not one of the same name that somebody else made, and never one of the source, which is refused
//!   while it is not complete there.
#![forbid(unsafe_code)]

mod apply;
mod args;
mod container;
mod engines;
mod error;
mod image;
mod needs;
mod network;
mod plan;
mod volume;

use args::{Arguments, Asked};
use cli::say;
use error::Error;

/// Runs `lichen migrate` with the words after it; the exit code.
pub fn main(words: &[String]) -> i32 {
    let outcome = match args::parse(words) {
        Ok(Asked::Help) => {
            say!("{}", args::HELP);
            return 0;
        }
        Ok(Asked::Run(arguments)) => run(&arguments),
        Err(error) => Err(error),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("lichen migrate: {error}");
        if matches!(error, Error::Usage(_)) { 125 } else { 1 }
    })
}

fn run(arguments: &Arguments) -> Result<i32, Error> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Runtime)?;
    runtime.block_on(async {
        let engines = engines::Engines::connect(arguments).await?;
        say!("from {}", engines.from.described());
        say!("to {}", engines.to.described());
        let plan = plan::make(&engines, arguments).await?;
        if arguments.apply {
            return apply::apply(&engines, plan, arguments).await;
        }
        plan.print();
        Ok(0)
    })
}
