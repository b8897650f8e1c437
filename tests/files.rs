//! Files that others made, and disks that others use: nothing hangs, nothing is read that was not asked for, and what was
//! there before is as it was.

use ansatz::prelude::*;
use ansatz::text::Tokens;
use ansatz::train::{load, save};
use std::fs;
use std::path::{Path, PathBuf};

net! {
    dim Letter = 26;
    pub net Line(x: [n, 3], y: [n, 1]) -> [] { x |> linear(1) |> mse(y) }
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("line.safetensors");
    (folder, path)
}

fn sentence<T>(result: Result<T>) -> String {
    result.err().expect("an error").to_string()
}

fn weights(line: &Line) -> Vec<f32> {
    to_vec(&line.linear1.weight)
}

/// A safetensors file of this header, behind which so many bytes of nothing lie.
fn sparse(path: &Path, header: &str, bytes: u64) {
    let mut begin = (header.len() as u64).to_le_bytes().to_vec();
    begin.extend(header.bytes());
    fs::write(path, &begin).unwrap();
    fs::File::options().write(true).open(path).unwrap().set_len(begin.len() as u64 + bytes).unwrap();
}

fn index(folder: &Path, file: &str) -> PathBuf {
    let path = folder.join("model.safetensors.index.json");
    fs::write(&path, format!(r#"{{"weight_map": {{"linear1.weight": {file:?}}}}}"#)).unwrap();
    path
}

#[test]
fn an_index_names_files_of_its_folder_only() {
    let (folder, path) = folder();
    save(&Line::<f32>::init(1), &path).unwrap();
    for name in ["../line.safetensors", "/etc/passwd", "a/../../line.safetensors", ""] {
        let error = sentence(load::<f32, Line>(index(folder.path(), name)));
        assert!(error.contains("an index may name files of its own folder only"), "{error}");
    }
}

#[test]
fn a_message_is_bounded_and_cannot_control_a_terminal() {
    let (_folder, path) = folder();
    let tensors: Vec<String> = (0..100_000)
        .map(|i| format!(r#""\u001b[2Jkey{i}":{{"dtype":"F32","shape":[1],"data_offsets":[{},{}]}}"#, 4 * i, 4 * i + 4))
        .collect();
    sparse(&path, &format!("{{{}}}", tensors.join(",")), 400_000);
    let error = sentence(load::<f32, Line>(&path));
    assert!(error.len() < 4000 && error.contains("more"), "{}", error.len());
    assert!(error.contains(r"\u{1b}[2J") && error.chars().all(|c| c == '\n' || !c.is_control()), "{error}");
}

#[test]
fn a_token_file_that_becomes_shorter_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.bin");
    fs::write(&path, [7; 100_000]).unwrap();
    let tokens = Tokens::<Letter>::open(&path).unwrap();
    let mut read = Vec::new();
    tokens.read(99_000..100_000, &mut read).unwrap();
    assert_eq!(read, [7; 1000]);
    fs::File::options().write(true).open(&path).unwrap().set_len(50_000).unwrap();
    let error = sentence(tokens.read(49_999..50_001, &mut read));
    assert!(error.ends_with("became shorter while it was read"), "{error}");
    tokens.read(49_000..50_000, &mut read).unwrap();
}

#[test]
fn what_a_killed_program_left_behind_is_written_over() {
    let (folder, path) = folder();
    fs::write(folder.path().join(".line.safetensors.part"), vec![1; 100_000]).unwrap();
    save(&Line::<f32>::init(1), &path).unwrap();
    assert_eq!(weights(&load(&path).unwrap()), weights(&Line::init(1)));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn two_writers_of_one_file_do_not_mix() {
    let (folder, path) = folder();
    let first = fs::File::create(folder.path().join(".line.safetensors.part")).unwrap();
    first.lock().unwrap();
    let error = sentence(save(&Line::<f32>::init(1), &path));
    assert!(error.contains("is being written by another program"), "{error}");
    assert!(!path.exists());
    drop(first);
    // Threads that write at once: each succeeds or is told, and the file is always whole.
    let path = &path;
    std::thread::scope(|scope| {
        for seed in 0..4 {
            scope.spawn(move || {
                for _ in 0..50 {
                    let saved = save(&Line::<f32>::init(seed), path);
                    assert!(saved.is_ok() || sentence(saved).contains("another program or thread"));
                }
            });
        }
        for _ in 0..200 {
            if path.exists() {
                load::<f32, Line>(path).unwrap();
            }
        }
    });
    load::<f32, Line>(path).unwrap();
    save(&Line::<f32>::init(9), path).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[cfg(unix)]
mod unix {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::process::Command;

    #[test]
    fn pipes_and_devices_are_neither_read_nor_replaced() {
        let (folder, path) = folder();
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        for file in [index(folder.path(), "line.safetensors"), path.clone(), "/dev/zero".into()] {
            let error = sentence(load::<f32, Line>(file));
            assert!(error.contains("is a pipe or a device"), "{error}");
        }
        assert!(sentence(save(&Line::<f32>::init(1), &path)).contains("is a pipe or a device"));
        assert!(sentence(Tokens::<Letter>::open(&path)).contains("is a pipe or a device"));
        assert!(
            sentence(ansatz::data::csv::<Letter, Letter, f32>(&path, "y", ansatz::data::Classes::Numbers))
                .contains("is a pipe")
        );
    }

    #[test]
    fn permissions_and_links_stay() {
        let (folder, path) = folder();
        save(&Line::<f32>::init(1), &path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let link = folder.path().join("latest.safetensors");
        symlink("line.safetensors", &link).unwrap();
        save(&Line::<f32>::init(2), &link).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(weights(&load(&path).unwrap()), weights(&Line::init(2)));
        let before = fs::read(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        let error = sentence(save(&Line::<f32>::init(3), &path));
        assert!(error.contains("the file is read-only"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), before);
    }
}

/// `/dev/full` takes nothing.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_of_metrics_costs_no_checkpoint() {
    let (_folder, path) = folder();
    let x = from_vec((0..24).map(|i| (i as f32).sin()).collect(), (8, Const)).unwrap();
    let y = from_vec(vec![1.0; 8], (8, Const)).unwrap();
    let data = ansatz::data::Samples::new(&LineBatch { x, y }).unwrap();
    let mut trainer: Trainer<Line> = Trainer::builder(Line::init(1), Adam::new(0.1))
        .batch_size(4)
        .epochs(3)
        .checkpoint(&path)
        .metrics("/dev/full")
        .build()
        .unwrap();
    let error = sentence(trainer.fit(&data, None));
    assert!(error.contains("/dev/full"), "{error}");
    let mut resumed: Trainer<Line> =
        Trainer::builder(Line::init(1), Adam::new(0.1)).batch_size(4).epochs(3).build().unwrap();
    resumed.resume(&path).unwrap();
    assert_eq!(resumed.updates(), 2);
}
