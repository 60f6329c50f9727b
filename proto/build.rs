//! Compiles the protocol with a pure-Rust compiler, so that no `protoc` is needed anywhere.

use prost::Message;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = ["description", "workers", "runs", "blobs", "journal"].map(|name| format!("tumble/v1/{name}.proto"));
    let descriptors = protox::compile(files, ["proto"])?;
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .bytes(".tumble.v1.Report.outcomes")
        .bytes(".tumble.v1.Chunk.bytes")
        .bytes(".tumble.v1.PutPiece.bytes")
        .bytes(".tumble.v1.GetPiece.bytes")
        .bytes(".tumble.v1.Scored.outcomes")
        .compile_fds(descriptors)?;
    Ok(())
}
