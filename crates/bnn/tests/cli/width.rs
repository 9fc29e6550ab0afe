//! What is printed fits the columns there are, and is plain ASCII.

use crate::desk::Desk;

/// The commands that print text, with a trained model in `run`.
const COMMANDS: [&str; 18] = [
    "--help",
    "train --help",
    "eval --help",
    "predict --help",
    "inspect --help",
    "cost --help",
    "data --help",
    "data fetch --help",
    "data verify --help",
    "spec --help",
    "backends",
    "data list",
    "spec --list",
    "cost tiny.toml",
    "cost cifar-convnet",
    "cost svhn-convnet-float",
    "inspect run/model.safetensors",
    "eval run/model.safetensors --data digits",
];

#[cfg(feature = "cpu")]
const OF_CPU: [&str; 4] = [
    "bench --help",
    "bench --list",
    "bench --only dense/b1/577 --seconds 0",
    "bench --model run/model.safetensors --data digits --seconds 0",
];
#[cfg(not(feature = "cpu"))]
const OF_CPU: [&str; 0] = [];

impl Desk {
    /// Runs a command in so many columns; every line must fit, but for a word that is longer.
    fn fits(&self, line: &str, columns: usize) {
        let mut command = self.bnn(line);
        command.env("COLUMNS", columns.to_string()).env("LC_ALL", "C");
        let out = command.assert().success();
        let text = String::from_utf8(out.get_output().stdout.clone()).unwrap();
        assert!(text.is_ascii(), "`{line}` prints more than ASCII:\n{text}");
        for row in text.lines() {
            let alone = row.split_whitespace().count() == 1;
            let fits = row.len() <= columns || alone;
            assert!(fits, "`{line}` in {columns} columns, {} wide: {row}\n{text}", row.len());
        }
    }
}

#[test]
fn what_is_printed_fits_80_and_60_columns_in_ascii() {
    let desk = Desk::new();
    desk.works("train tiny.toml --out run");
    for columns in [80, 60] {
        COMMANDS.iter().chain(&OF_CPU).for_each(|line| desk.fits(line, columns));
        desk.fits(&format!("train digits-conv --tier smoke --out run{columns}"), columns);
    }
}

#[test]
fn a_pipe_is_80_columns_wide() {
    let desk = Desk::new();
    let told = |columns: Option<&str>| {
        let mut command = desk.bnn("cost cifar-convnet");
        command.env_remove("COLUMNS");
        columns.map(|columns| command.env("COLUMNS", columns));
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert_eq!(told(None), told(Some("80")));
    assert_eq!(told(Some("0")), told(Some("80")), "no width is 0");
    assert_ne!(told(Some("60")), told(Some("80")));
    let wide = told(Some("200"));
    assert_eq!(wide.matches("conv 128 kernel 3 pad 1 pool 2").count(), 1);
    let layer = wide.lines().find(|line| line.starts_with("2 ")).unwrap();
    assert!(layer.contains("1 x 1") && layer.contains("32,768"), "in one part: {layer}");
}
