//! Stores messages that no consumer could process, with the reason.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    jumun_dead_letter_worker::main().await
}
