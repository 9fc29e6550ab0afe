//! Files that are no files, that never end, or that promise more than a memory holds.

#![allow(clippy::unwrap_used)] // in helpers too

use std::error::Error as _;
use std::fs::{self, File};
use std::io::{Read, Write, repeat};
use std::path::Path;

use allocation_counter::measure;
use bnn_data::idx::Idx;
use bnn_data::{Dataset, Error, Lookup, class_folders, limits, load, verify};
use flate2::{Compression, write::GzEncoder};
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

/// What readers may take beside what they keep.
const ROOM: u64 = 1 << 20;

fn lookup(place: &Path) -> Lookup {
    Lookup { data_dir: Some(place.into()), ..Lookup::default() }
}

/// An error with its source, in a line.
fn text(error: &Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

fn refused(result: Result<Dataset, Error>) -> String {
    text(&result.unwrap_err())
}

/// A file of so many zeros, packed; the whole is in front of them.
fn bomb(path: &Path, front: &[u8], zeros: u64) {
    let mut encoder = GzEncoder::new(File::create(path).unwrap(), Compression::fast());
    encoder.write_all(front).unwrap();
    std::io::copy(&mut repeat(0).take(zeros), &mut encoder).unwrap();
    encoder.finish().unwrap();
}

/// The header of a member with a checksum that is right.
fn header(name: &str, kind: EntryType, size: u64) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_cksum();
    header.as_bytes().to_vec()
}

#[cfg(unix)]
fn pipe(path: &Path) {
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
#[cfg(unix)]
fn a_pipe_in_the_place_of_a_file_is_refused_by_its_kind() {
    let is_pipe = |why: String| {
        assert!(why.ends_with("this is a pipe, and a regular file was expected"), "{why}");
    };
    for (set, file) in [
        ("mnist", "train-images-idx3-ubyte"),
        ("mnist", "t10k-labels-idx1-ubyte.gz"),
        ("cifar10", "cifar-10-binary.tar.gz"),
        ("cifar10", "data_batch_3.bin"),
        ("cifar10-jpeg", "cifar10-jpeg.tar.gz"),
        ("svhn", "extra_32x32.mat"),
        ("images", "images.tar"),
    ] {
        let desk = tempfile::tempdir().unwrap();
        pipe(&desk.path().join(file));
        is_pipe(refused(load(set, &lookup(desk.path()))));
        if set != "images" && set != "cifar10" {
            is_pipe(text(&verify(set, &lookup(desk.path())).unwrap_err()));
        }
    }
    let desk = tempfile::tempdir().unwrap();
    let path = desk.path().join("pipe");
    pipe(&path);
    is_pipe(refused(load("images", &lookup(&path))));
    is_pipe(refused(class_folders::read("set", &path)));
    is_pipe(text(&Idx::<3>::read(&path).unwrap_err()));
}

#[test]
fn a_folder_in_the_place_of_a_file_is_refused() {
    let desk = tempfile::tempdir().unwrap();
    let inner = desk.path().join("train-images-idx3-ubyte");
    fs::create_dir(&inner).unwrap();
    let why = refused(load("mnist", &lookup(desk.path())));
    assert!(why.ends_with("this is a folder, and a regular file was expected"), "{why}");
    assert!(why.starts_with(&inner.display().to_string()), "{why}");
}

/// A folder of images in which one file is made by `make`.
fn with(make: impl Fn(&Path)) -> TempDir {
    let desk = tempfile::tempdir().unwrap();
    for place in ["train/a", "train/b", "test/a", "test/b"] {
        fs::create_dir_all(desk.path().join(place)).unwrap();
    }
    make(&desk.path().join("train/b/x"));
    desk
}

#[test]
#[cfg(unix)]
fn what_is_no_file_among_images_is_refused_by_its_kind() {
    let zero = with(|path| std::os::unix::fs::symlink("/dev/zero", path).unwrap());
    let why = refused(class_folders::read("set", zero.path()));
    assert!(why.contains("train/b/x") && why.contains("this is a device"), "{why}");
    let why = refused(class_folders::read("set", with(pipe).path()));
    assert!(why.contains("train/b/x") && why.contains("this is a pipe"), "{why}");
}

#[test]
fn first_bytes_and_size_are_looked_at_before_a_file_is_read() {
    let sparse = |head: &'static [u8]| {
        move |path: &Path| {
            fs::write(path, head).unwrap();
            File::options().write(true).open(path).unwrap().set_len(200 << 30).unwrap();
        }
    };
    let movie = with(sparse(b"\0\0\0\x18ftypmp42"));
    let huge = with(sparse(b"\x89PNG\r\n\x1a\n"));
    let (mut movie_why, mut huge_why) = (String::new(), String::new());
    let taken = measure(|| {
        movie_why = refused(class_folders::read("set", movie.path()));
        huge_why = refused(class_folders::read("set", huge.path()));
    });
    let want = "train/b/x: neither a PNG nor a JPEG image, by its first bytes; convert it first";
    assert!(movie_why.contains(want), "{movie_why}");
    let want = "train/b/x: 214748364800 bytes are more than the 67108864 that are read of a file";
    assert!(huge_why.ends_with(want), "{huge_why}");
    assert!(taken.bytes_max < ROOM, "{} bytes", taken.bytes_max);
}

#[test]
fn files_with_holes_are_not_read_to_their_end() {
    let sparse = |name: &str, first: &[u8], gib: u64| {
        let desk = tempfile::tempdir().unwrap();
        let path = desk.path().join(name);
        fs::write(&path, first).unwrap();
        File::options().write(true).open(&path).unwrap().set_len(gib << 30).unwrap();
        for other in ["train_32x32.mat", "extra_32x32.mat", "test_32x32.mat"] {
            if name.ends_with("mat") && other != name {
                fs::write(desk.path().join(other), b"").unwrap();
            }
        }
        desk
    };
    let licence = [header("LICENSE", EntryType::Regular, 1), vec![0; 512]].concat();
    let endless = header("LICENSE", EntryType::Regular, 199 << 30);
    let mat = [&[b' '; 124][..], &[0, 1, b'I', b'M']].concat();
    let more = "the file has more than the 34359738368 bytes that such a file may have";
    let zeros = "archive: more than 67108864 bytes of zeros";
    for (set, name, first, gib, because) in [
        ("images", "images.tar", &endless, 200, more),
        ("images", "images.tar", &vec![], 32, zeros),
        ("images", "images.tar", &licence, 32, zeros),
        ("cifar10", "cifar-10-binary.tar.gz", &licence, 200, more),
        ("cifar10", "cifar-10-binary.tar.gz", &licence, 32, zeros),
        ("svhn", "train_32x32.mat", &mat, 200, more),
        ("svhn", "train_32x32.mat", &mat, 32, "byte 128: an element of type 0"),
    ] {
        let desk = sparse(name, first, gib);
        let mut why = String::new();
        let taken = measure(|| why = refused(load(set, &lookup(desk.path()))));
        assert!(why.contains(because), "{why}");
        assert!(taken.bytes_max < ROOM, "{} bytes: {why}", taken.bytes_max);
    }
}

/// Asserts that an archive is refused without its promises being kept in memory.
fn refused_archive(bytes: &[u8], because: &str) {
    let desk = tempfile::tempdir().unwrap();
    let path = desk.path().join("set.tar");
    fs::write(&path, bytes).unwrap();
    let mut why = String::new();
    let taken = measure(|| why = refused(class_folders::read("set", &path)));
    assert!(why.contains(because), "{why}");
    assert!(taken.bytes_max < ROOM, "{} bytes: {why}", taken.bytes_max);
}

#[test]
fn hostile_sizes_in_archives_take_no_memory() {
    let member = |size, first: &[u8]| {
        [header("train/a/x.png", EntryType::Regular, size), first.to_vec()].concat()
    };
    let block = |first: &[u8]| [first, &vec![0; 512 - first.len()]].concat();
    refused_archive(&member(200 << 30, &block(b"\0\0\0\x18ftypmp42")), "by its first bytes");
    refused_archive(&member(200 << 30, &block(b"\x89PNG")), "bytes are more than the 67108864");
    refused_archive(&member(1 << 20, &block(b"\x89PNG")), "byte 1024: the archive breaks off here");
    refused_archive(&member(u64::MAX, &[]), "byte 0: archive: a size beyond all files");
    let name = |kind, size| header("././@LongLink", kind, size);
    let because = "byte 512: archive: a name of 10737418240 bytes, more than 65536";
    refused_archive(&name(EntryType::GNULongName, 10 << 30), because);
    refused_archive(&name(EntryType::XHeader, 10 << 30), because);
    let link = name(EntryType::GNULongLink, 10 << 30);
    refused_archive(&link, "byte 512: the data ends here, 10737418240 more bytes were expected");
}

#[test]
fn names_that_are_left_out_take_no_memory() {
    let desk = tempfile::tempdir().unwrap();
    let path = desk.path().join("set.tar");
    let strays = (0..20_000)
        .flat_map(|number| header(&format!(".{number:060}"), EntryType::Regular, 0))
        .chain([0; 1024]);
    fs::write(&path, strays.collect::<Vec<_>>()).unwrap();
    let taken = measure(|| _ = refused(class_folders::read("set", &path)));
    assert!(taken.bytes_max < ROOM, "{} bytes", taken.bytes_max);
}

#[test]
fn archives_that_unpack_without_end_stop_at_their_limit() {
    let desk = tempfile::tempdir().unwrap();
    let path = desk.path().join("set.tar.gz");
    let most = limits::unpacked(0);
    let why = "gzip: unpacks to more than 1073741824 bytes, its limit";
    for front in [
        header("LICENSE", EntryType::Regular, 1 << 40),
        header("././@LongLink", EntryType::GNULongLink, 1 << 40),
    ] {
        bomb(&path, &front, most + 512);
        assert!(fs::metadata(&path).unwrap().len() < 8 << 20);
        let mut told = String::new();
        let taken = measure(|| told = refused(class_folders::read("set", &path)));
        assert!(told.contains(why), "{told}");
        assert!(taken.bytes_max < ROOM, "{} bytes", taken.bytes_max);
    }
}

#[test]
fn arrays_that_unpack_without_end_stop_at_their_size() {
    let desk = tempfile::tempdir().unwrap();
    let path = desk.path().join("images");
    let head = |dims: [u32; 3]| {
        [vec![0, 0, 8, 3], dims.iter().flat_map(|dim| dim.to_be_bytes()).collect()].concat()
    };
    // Three images are said to be there, and there is no end.
    bomb(&path, &head([3, 2, 2]), 100 << 20);
    let mut why = String::new();
    let taken = measure(|| why = text(&Idx::<3>::read(&path).unwrap_err()));
    assert!(why.contains("byte 28: there are bytes behind the end of the array"), "{why}");
    assert!(taken.bytes_max < ROOM, "{} bytes", taken.bytes_max);
    // More than any memory is said to be there, and nothing is.
    for dims in [[u32::MAX; 3], [1 << 20, 1 << 10, 1 << 10]] {
        let taken = measure(|| {
            why = text(&Idx::<3>::from_reader(Path::new("any"), &*head(dims)).unwrap_err());
        });
        assert!(why.contains("any, byte 4: ") && why.contains("too large an array"), "{why}");
        assert!(taken.bytes_max < ROOM, "{} bytes", taken.bytes_max);
    }
    let most = [1 << 15, 1 << 10, 1 << 10];
    let taken = measure(|| {
        why = text(&Idx::<3>::from_reader(Path::new("any"), &*head(most)).unwrap_err());
    });
    assert!(why.contains("byte 16: the file ends here, 34359738368 bytes of array"), "{why}");
    assert!(taken.bytes_max < ROOM, "{} bytes", taken.bytes_max);
}

#[test]
fn loose_files_that_unpack_without_end_stop_at_a_limit() {
    let desk = tempfile::tempdir().unwrap();
    let record = [0; 3073];
    for number in 1..=5 {
        bomb(&desk.path().join(format!("data_batch_{number}.bin")), &record, 100 << 20);
    }
    bomb(&desk.path().join("test_batch.bin"), &record, 100 << 20);
    let mut why = String::new();
    let taken = measure(|| why = refused(load("cifar10", &lookup(desk.path()))));
    assert!(why.contains("data_batch_1.bin, byte 30730000: there are bytes behind"), "{why}");
    // The room for what is read doubles, and the old one is there while it is copied.
    assert!(taken.bytes_max < 4 * 30_730_000, "{} bytes", taken.bytes_max);
}

#[test]
fn an_archive_of_batches_that_unpacks_without_end_stops_at_a_limit() {
    let desk = tempfile::tempdir().unwrap();
    let path = desk.path().join("cifar-10-binary.tar.gz");
    let refused = || refused(load("cifar10", &lookup(desk.path())));
    let batch = |size| header("cifar-10-batches-bin/data_batch_1.bin", EntryType::Regular, size);
    let other = header("readme.html", EntryType::Regular, 1 << 40);
    let name = header("././@LongLink", EntryType::GNULongName, 1 << 40);
    for (front, zeros, because) in [
        (batch(1 << 40), 1 << 20, "1099511627776 bytes are more than the 67108864 that are read"),
        (other, limits::unpacked(0), "unpacks to more than 1073741824 bytes"),
        (name, 1 << 20, "a name of 1099511627776 bytes, more than 65536"),
    ] {
        bomb(&path, &front, zeros);
        let mut why = String::new();
        let taken = measure(|| why = refused());
        assert!(why.contains(because), "{why}");
        assert!(taken.bytes_max < ROOM, "{} bytes: {why}", taken.bytes_max);
    }
    // As large as it may be, and far larger than a batch is.
    bomb(&path, &batch(64 << 20), 65 << 20);
    let mut why = String::new();
    let taken = measure(|| why = refused());
    assert!(why.contains("byte 30730000: there are bytes behind the end"), "{why}");
    // The room for what is read doubles, and the old one is there while it is copied.
    assert!(taken.bytes_max < 3 * (64 << 20), "{} bytes", taken.bytes_max);
}

#[test]
fn names_that_would_move_a_cursor_are_spelled_out_and_make_no_class() {
    let png = b"\x89PNG\r\n\x1a\n";
    let mut builder = Builder::new(Vec::new());
    for place in ["train/a\x1b[2J/0.png", "test/a\x1b[2J/0.png"] {
        let mut header = Header::new_gnu();
        header.set_size(png.len() as u64);
        builder.append_data(&mut header, place, &png[..]).unwrap();
    }
    let bytes = builder.into_inner().unwrap();
    refused_archive(
        &bytes,
        "train/a\\u{1b}[2J/0.png: the name of the class has control characters",
    );
    let long = format!("train/{}/0.png", "x".repeat(256));
    let mut builder = Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_size(png.len() as u64);
    builder.append_data(&mut header, long, &png[..]).unwrap();
    refused_archive(
        &builder.into_inner().unwrap(),
        "the name of the class has more than 255 bytes",
    );
}
