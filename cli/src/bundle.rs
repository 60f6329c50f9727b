//! The files that travel with a run, at the client: found, held against what the run file says, and sent to a coordinator.

use std::path::{Path, PathBuf};

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};
use tumble_bundle::{Hash, Manifest, kept};
use tumble_domain::Bundle;
use tumble_proto::access::Access;
use tumble_proto::{BLOB_PIECE_BYTES, v1};
use tumble_runfile::{PackError, Understood};

use crate::client::{self, Client, refused};
use crate::exit::Failure;
use crate::output::{Output, grouped, size};

/// Pieces that may wait for the network.
const PIECES_MAX: usize = 4;
/// How often files are sent again that the coordinator finds damaged, or has let go of meanwhile.
const ROUNDS_MAX: u32 = 3;

/// Files of a bundle, and the folder in which they lie.
pub(crate) struct Files {
    pub(crate) manifest: Manifest,
    pub(crate) root: PathBuf,
}

/// The hash of the files that a run file in this folder names. One that has a hash already gets the files that have it: those
/// beside it, or those that a run's folder keeps.
pub(crate) fn pack(folder: &Path, paths: &[String], written: Option<&str>) -> Result<String, PackError> {
    let hash = written.and_then(Hash::parse);
    let keeps = hash.filter(|_| folder.join(kept::FOLDER).is_dir()).map(|hash| kept::read(folder, hash));
    if let Some(Ok(_)) = keeps {
        return Ok(hash.map_or(String::new(), |hash| hash.to_string()));
    }
    let packed = tumble_bundle::pack(folder, paths);
    let other = |why: String| PackError {
        entry: None,
        why,
        fix: "put the files back as they were, or remove the line `bundle_hash` to run those that are there".to_owned(),
    };
    match (packed, hash, keeps) {
        (Ok(manifest), None, _) => Ok(manifest.hash().to_string()),
        (Ok(manifest), Some(hash), _) if manifest.hash() == hash => Ok(hash.to_string()),
        // A run's folder has its files in it: what is wrong with those is what is wrong.
        (_, Some(_), Some(Err(why))) => Err(other(why)),
        (Ok(manifest), Some(hash), _) => Err(other(match tumble_worker::files::known(hash) {
            Some(was) => {
                format!("the files of the bundle are not those of `bundle_hash`: {}", told(&was.differences(&manifest)))
            }
            None => "the files of the bundle are not those of `bundle_hash`".to_owned(),
        })),
        (Err(error), _, _) => Err(PackError { entry: Some(error.entry), why: error.why, fix: error.fix }),
    }
}

/// How the files beside a run file differ from those that a run keeps, in words; `None` if that is not known.
pub(crate) fn differing(run: &Path, was: Option<&Bundle>, folder: &Path, is: Option<&Bundle>) -> Option<String> {
    let (was, is) = (was?, is?);
    let kept = kept::read(run, Hash::parse(&was.hash)?).ok()?;
    let now = tumble_bundle::pack(folder, &is.paths).ok()?;
    (kept.hash() != now.hash()).then(|| told(&kept.differences(&now)))
}

/// The most differences that are told.
const TOLD_MAX: usize = 5;

fn told(differences: &[String]) -> String {
    let more = match differences.len().saturating_sub(TOLD_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", differences[..differences.len().min(TOLD_MAX)].join(", "))
}

/// The folder that relative programs and functions of a run file in this folder mean: of a run's own folder, that of the files it
/// keeps.
pub(crate) fn here(folder: &Path, bundle_hash: Option<&str>) -> PathBuf {
    let files = kept::files(folder);
    if bundle_hash.is_some() && files.is_dir() { files } else { folder.to_owned() }
}

/// The files of a bundle, from the first of these folders that has them: as a run's folder keeps them, or as a run file names them.
pub(crate) fn find(bundle: &Bundle, folders: &[&Path]) -> Result<Files, String> {
    let hash = Hash::parse(&bundle.hash).ok_or("`bundle_hash` is no hash")?;
    let mut why = String::new();
    for folder in folders {
        match kept::read(folder, hash) {
            Ok(manifest) => return Ok(Files { manifest, root: kept::files(folder) }),
            Err(error) if folder.join(kept::FOLDER).is_dir() => why = error,
            Err(_) => {}
        }
        match tumble_bundle::pack(folder, &bundle.paths) {
            Ok(manifest) if manifest.hash() == hash => return Ok(Files { manifest, root: folder.to_path_buf() }),
            Ok(_) if why.is_empty() => why = format!("the files in {} are not those of the run", folder.display()),
            Err(error) if why.is_empty() => why = format!("{} in {}", error.why, folder.display()),
            _ => {}
        }
    }
    Err(why)
}

/// Submits a run, with the files that travel with it; they are looked for in these folders.
pub(crate) async fn submit(
    client: &mut Client,
    access: &Access,
    request: v1::SubmitRequest,
    understood: &Understood,
    folders: &[&Path],
    output: Output,
) -> Result<v1::RunView, Failure> {
    let Some(bundle) = &understood.spec.bundle else {
        return Ok(client.submit(request).await.map_err(refused)?.into_inner());
    };
    // The coordinator may have them, so that those which have changed here are not needed.
    let files = find(bundle, folders);
    let mut round = 1;
    loop {
        if let Ok(files) = &files {
            send(access, files, output).await?;
        }
        match (client.submit(request.clone()).await, &files) {
            (Ok(view), _) => return Ok(view.into_inner()),
            (Err(status), Ok(_)) if status.code() == Code::FailedPrecondition && round < ROUNDS_MAX => round += 1,
            (Err(status), Err(why)) if status.code() == Code::FailedPrecondition => {
                return Err(Failure::usage(format!("{}, and {why}", status.message())));
            }
            (Err(status), _) => return Err(refused(status)),
        }
    }
}

/// Sends what the coordinator lacks.
async fn send(access: &Access, files: &Files, output: Output) -> Result<(), Failure> {
    let mut client = client::blobs(access).await?;
    let text = files.manifest.text();
    let blob = |hash: Hash, length: u64| v1::Blob { hash: hash.bytes().to_vec(), length };
    let mut blobs = vec![(blob(Hash::of(text.as_bytes()), text.len() as u64), None)];
    let listed = files.manifest.files();
    blobs.extend(listed.iter().map(|file| (blob(file.hash, file.length), Some(&file.path))));
    let request = v1::LackRequest { blobs: blobs.iter().map(|(blob, _)| blob.clone()).collect() };
    let lacking = client.lack(request).await.map_err(refused)?.into_inner().lacking;
    let mut wanted: Vec<(v1::Blob, Option<PathBuf>)> = Vec::new();
    for (blob, path) in lacking.iter().filter_map(|at| blobs.get(*at as usize)) {
        // Two files may have the same bytes.
        if wanted.iter().all(|(other, _)| other.hash != blob.hash) {
            wanted.push((blob.clone(), path.map(|path| files.root.join(path))));
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let bytes: u64 = wanted.iter().map(|(blob, _)| blob.length).sum();
    output.note(format!(
        "sending {} of {} files of the bundle, {}",
        grouped(wanted.len() as u64),
        grouped(listed.len() as u64 + 1),
        size(bytes)
    ));
    let (give, pieces) = mpsc::channel(PIECES_MAX);
    let reader = tokio::task::spawn_blocking(move || read_all(&wanted, text.as_bytes(), &give));
    let put = client.put(ReceiverStream::new(pieces)).await;
    // What could not be read here is why the coordinator did not get it.
    reader.await.map_err(Failure::internal)?.map_err(Failure::usage)?;
    put.map(drop).map_err(|status: Status| match status.code() {
        Code::InvalidArgument => {
            Failure::usage(format!("a file of the bundle changed while it was sent: {}", status.message()))
        }
        _ => refused(status),
    })
}

/// Reads files piece by piece; one without a path is the manifest.
fn read_all(
    wanted: &[(v1::Blob, Option<PathBuf>)],
    manifest: &[u8],
    give: &mpsc::Sender<v1::PutPiece>,
) -> Result<(), String> {
    for (blob, path) in wanted {
        let mut file: Box<dyn std::io::Read> = match path {
            None => Box::new(manifest),
            Some(path) => Box::new(
                std::fs::File::open(path).map_err(|error| format!("failed to read {}: {error}", path.display()))?,
            ),
        };
        let mut begins = Some(blob.clone());
        let mut left = blob.length;
        loop {
            let mut bytes = vec![0; left.min(BLOB_PIECE_BYTES as u64) as usize];
            file.read_exact(&mut bytes).map_err(|error| {
                let path = path.as_ref().map_or_else(String::new, |path| path.display().to_string());
                format!("failed to read {path}: {error}")
            })?;
            left -= bytes.len() as u64;
            // Nobody takes them any more: why, the answer says.
            if give.blocking_send(v1::PutPiece { blob: begins.take(), bytes: bytes.into() }).is_err() {
                return Ok(());
            }
            if left == 0 {
                break;
            }
        }
    }
    Ok(())
}
