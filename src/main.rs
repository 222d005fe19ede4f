//! Runs one command; prints the error chain and a hint.

fn main() -> std::process::ExitCode {
    deskhand::cli::main()
}
