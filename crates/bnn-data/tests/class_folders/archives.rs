//! What archives and folders hold beside images: ends, names of any make, strays, links.

use super::*;

#[test]
fn what_systems_leave_in_folders_is_left_out_and_counted() {
    let data = read(&archive(&files())).unwrap();
    let mut more = files();
    for place in [
        "train/.DS_Store",
        "train/ant/._00.png",
        "train/ant/Thumbs.db",
        "test/ant/thumbs.db",
        "train/__MACOSX/ant/00.png",
        "train/bee/Desktop.ini",
    ] {
        more.push((place.into(), b"no image".to_vec()));
    }
    let from_folder = class_folders::read("set", folder(&more).path()).unwrap();
    for got in [read(&archive(&more)).unwrap(), from_folder] {
        assert_eq!(
            (&got.train, &got.validation, &got.test),
            (&data.train, &data.validation, &data.test)
        );
        assert_eq!(got.class_names(), CLASSES);
        let want = "left out 6 files and folders by their names: `.DS_Store`, `._00.png`, \
                    `Desktop.ini`, `Thumbs.db` and others";
        assert_eq!(got.notes()[..got.notes().len() - data.notes().len()], [want]);
    }
    more.truncate(files().len() + 1);
    let want = "left out 1 file or folder by their names: `.DS_Store`";
    assert_eq!(read(&archive(&more)).unwrap().notes()[0], want);
}

#[test]
fn archives_that_cat_has_joined_are_one() {
    let (all, data) = (files(), read(&archive(&files())).unwrap());
    let (first, second) = all.split_at(7);
    let (first, second) = (archive(first), archive(second));
    let joined = [&*first, &*second].concat();
    assert_eq!(read(&joined).unwrap(), data);
    assert_eq!(read(&gzip(&joined)).unwrap(), data);
    assert_eq!(read(&[gzip(&first), gzip(&second)].concat()).unwrap(), data);
    // Zeros may follow, in any number, but nothing else.
    assert_eq!(read(&[&*joined, &[0; 700]].concat()).unwrap(), data);
    for garbage in [&b"garbage"[..], &[7; 512], &[7; 5000]] {
        let error = read(&[&*joined, &[0; 512], garbage].concat()).unwrap_err();
        let Error::Damaged { offset, why, .. } = &error else { panic!("{error}") };
        let want = "what lies behind the end of the archive is no archive";
        assert_eq!((*offset, why.as_str()), (joined.len() as u64 + 512, want));
    }
    // What is cut off is not made whole by zeros at the end of a file.
    let mut padded = grey(1);
    padded.resize(4096, 0);
    let cut = archive(&with("train/bee/01.png", &padded));
    let error = read(&cut[..cut.len() - 1024]).unwrap_err();
    assert!(matches!(&error, Error::Damaged { offset, .. } if *offset == cut.len() as u64 - 1024));
}

#[test]
fn small_files_of_large_pictures_stop_at_the_limit_of_a_data_set() {
    let mut black = Vec::new();
    let mut encoder = Encoder::new(&mut black, 1024, 1024);
    encoder.set_color(ColorType::Rgb);
    encoder.write_header().unwrap().write_image_data(&vec![0; 3 << 20]).unwrap();
    assert!(black.len() < 16 << 10);
    // A tenth of them is for validation.
    let place = |set, class, number| (format!("{set}/{class}/{number}.png"), black.clone());
    let mut files: Files = (0..12_200).map(|number| place("train", "ant", number)).collect();
    files.extend([place("train", "bee", 0), place("train", "bee", 1)]);
    files.extend([place("test", "ant", 0), place("test", "bee", 0)]);
    let error = read(&archive(&files)).unwrap_err().to_string();
    let want = "train/ant/0.png: 10981 images of 1024 x 1024, this one the first, take the data set \
                beyond 34359738368 bytes, its limit";
    assert!(error.contains(want), "{error}");
}

#[test]
fn long_names_are_read_in_either_way() {
    let long = format!("train/ant/{}.png", "n".repeat(150));
    let want = read(&archive(&with(&long, &grey(9)))).unwrap();
    assert_eq!(want.train.len() + want.validation.len(), 17);
    let record = |text: &str| format!("{} {text}\n", text.len() + 5);
    let header = |name: &str, kind, size| {
        let mut header = Header::new_ustar();
        header.set_path(name).unwrap();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_cksum();
        header.as_bytes().to_vec()
    };
    let filled =
        |bytes: &[u8]| [bytes, &vec![0; bytes.len().next_multiple_of(512) - bytes.len()]].concat();
    let image = grey(9);
    let member = |records: &str| {
        [
            header("pax", EntryType::XHeader, records.len() as u64),
            filled(records.as_bytes()),
            header("train/cow/short.png", EntryType::Regular, image.len() as u64),
            filled(&image),
            archive(&files()),
        ]
        .concat()
    };
    let name = record(&format!("path={long}"));
    assert_eq!(read(&member(&name)).unwrap(), want);
    let size = format!("12 size={:03}\n", image.len());
    assert_eq!(read(&member(&[&*name, &*size].concat())).unwrap(), want);
    for (records, because) in [
        ("99 path=x\n", "byte 512: archive: a PAX header that is none"),
        ("12 size=999\n", "byte 1024: archive: a file of gigabytes or with gaps"),
    ] {
        let error = read(&member(records)).unwrap_err().to_string();
        assert!(error.contains(because), "{error}");
    }
}

#[test]
#[cfg(unix)]
fn names_that_are_no_text_are_refused_in_folders_and_archives() {
    use std::os::unix::ffi::OsStrExt;
    for name in [&b"train/b\xe9e/0.png"[..], b"train/bee/\xff.png"] {
        let desk = folder(&files());
        let path = desk.path().join(std::ffi::OsStr::from_bytes(name));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, grey(1)).unwrap();
        let mut builder = Builder::new(Vec::new());
        builder.append_dir_all("", desk.path()).unwrap();
        let results =
            [class_folders::read("set", desk.path()), read(&builder.into_inner().unwrap())];
        for result in results {
            let Err(Error::Entry { entry, why, .. }) = result else { panic!("{result:?}") };
            assert!(entry.starts_with("train/b") && entry.contains('\u{fffd}'), "{entry}");
            assert_eq!(why, "the name is not valid UTF-8; rename it");
        }
    }
}

#[test]
fn archives_are_read_to_their_end() {
    let plain = archive(&files());
    for length in (0..plain.len() - 512).step_by(64) {
        let error = read(&plain[..length]).unwrap_err();
        let Error::Damaged { offset, why, .. } = &error else { panic!("{length}: {error}") };
        assert_eq!(*offset, length as u64, "{why}");
    }
    let packed = gzip(&plain);
    for length in 3..packed.len() {
        let error = read(&packed[..length]).unwrap_err();
        assert!(matches!(&error, Error::Damaged { .. }), "{length}: {error}");
    }
    let mut checksum = packed.clone();
    let at = checksum.len() - 8;
    checksum[at] ^= 1;
    assert!(matches!(read(&checksum), Err(Error::Damaged { .. })));
    let mut header = plain.clone();
    header[100] ^= 1;
    let second = (512..plain.len()).step_by(512).find(|&at| plain[at..].starts_with(b"train/"));
    let mut later = plain.clone();
    later[second.unwrap() + 148..][..8].copy_from_slice(b"\x1b[2J\0\xff\n\r"); // its checksum
    for (bytes, want) in [
        (header, "set.tar, byte 0: no tar archive, compressed with gzip or not"),
        (b"\x89PNG\r\n\x1a\n".repeat(99), "set.tar, byte 0: no tar archive"),
        (later, ": archive: "),
    ] {
        let error = read(&bytes).unwrap_err().to_string();
        assert!(error.contains(want) && !error.contains(char::is_control), "{error:?}");
    }
}

#[test]
fn entries_that_are_no_files_are_refused() {
    let twice = [files(), vec![("train/ant/00.png".into(), grey(7))]].concat();
    let error = read(&archive(&twice)).unwrap_err().to_string();
    assert!(error.ends_with("train/ant/00.png: the archive has this file twice"), "{error}");
    let mut builder = Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Symlink);
    header.set_size(0);
    builder.append_link(&mut header, "train/ant/9.png", "0.png").unwrap();
    let error = read(&builder.into_inner().unwrap()).unwrap_err().to_string();
    assert!(
        error.ends_with("train/ant/9.png: neither a file nor a folder, but Symlink"),
        "{error}"
    );
}
