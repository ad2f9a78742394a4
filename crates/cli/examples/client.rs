//! The client alone: what the `lichen` program runs for everything but the engine. The tests of this crate run it.

fn main() {
    std::process::exit(cli::main(std::env::args_os(), &[]));
}
