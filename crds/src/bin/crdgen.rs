//! Writes the CustomResourceDefinitions as YAML: `cargo run -p eyas-crds --bin crdgen [MANIFESTS]` (default: manifests).
fn main() -> std::process::ExitCode {
    let dir = std::env::args_os().nth(1).map_or_else(|| "manifests".into(), std::path::PathBuf::from);
    match crds::yaml::write(&dir) {
        Ok(files) => {
            for file in files {
                println!("{}", file.display());
            }
            std::process::ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("crdgen: {error}");
            std::process::ExitCode::from(2)
        }
    }
}
