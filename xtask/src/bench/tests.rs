//! Runs experiments by a script in the place of `bnn`, which says what it is told to say.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::record::tests::sample;
use super::*;
use crate::machine::Machine;

/// Says the answer that is filed under the case, the peaks or the model; files may be commands.
const SCRIPT: &str = r#"#!/bin/sh
cd "$(dirname "$0")"
echo "$@" >> calls
case "$3" in
  --peaks) cat peaks ;;
  --only) cat "$(echo "$4" | tr / -)" ;;
  --model) . ./network ;;
esac
"#;

struct Desk {
    folder: TempDir,
    plan: Plan,
    stop: AtomicBool,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let Bench { name, title, paper, tier, backend, what, timings, .. } = sample();
        let desk = Self {
            folder,
            plan: Plan { name, title, paper, tier, backend, what },
            stop: AtomicBool::new(false),
        };
        desk.write("peaks", &serde_json::to_string(&timings.peaks).unwrap());
        for timed in [&timings.product, &timings.cases[0]] {
            desk.write(&timed.case.replace('/', "-"), &serde_json::to_string(timed).unwrap());
        }
        let network = serde_json::to_string(timings.network.timed().unwrap()).unwrap();
        desk.write("network", &format!("echo '{network}'"));
        desk.script(SCRIPT);
        desk.write("runs/mlp.mnist.cpu.s0/model.safetensors", "weights");
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        atomic::write(&self.path(name), text).unwrap();
    }

    /// What stands for `bnn`.
    fn script(&self, text: &str) {
        self.write("bnn", text);
        fs::set_permissions(self.path("bnn"), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn run(&self, only: Option<&str>) -> Result<(Vec<Bench>, Vec<String>)> {
        let bnn = Bnn::at(self.path("bnn")).unwrap();
        let machine =
            Machine { cpu: "c".into(), cores: 1, memory: "m".into(), os: "o".into(), gpu: None };
        let origin = Origin { binary: bnn.digest.clone(), revision: "r".into(), machine };
        let folder = self.folder.path();
        let stand = Stand { bnn: &bnn, folder, origin: &origin, data_dir: None, stop: &self.stop };
        stand.run(std::slice::from_ref(&self.plan), &Only::new(only).unwrap(), false)
    }

    fn fault(&self) -> String {
        let (benches, faults) = self.run(None).unwrap();
        assert!(benches.is_empty());
        faults.join("")
    }

    fn calls(&self) -> usize {
        fs::read_to_string(self.path("calls")).unwrap_or_default().lines().count()
    }
}

#[test]
fn results_are_kept_until_the_model_changes() {
    let mut desk = Desk::new();
    let timings = sample().timings;
    assert!(desk.run(Some("mlp.*")).unwrap().0.is_empty(), "not chosen");
    for _ in 0..2 {
        let (benches, faults) = desk.run(None).unwrap();
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(benches[0].timings.product, timings.product);
        assert_eq!(benches[0].timings.cases, timings.cases);
        assert_eq!(benches[0].timings.network.timed(), timings.network.timed());
        assert_eq!(desk.calls(), 4, "peaks, two cases and the network");
    }
    desk.plan.title = "another".into();
    assert_eq!(desk.run(Some("mlp.*")).unwrap().0[0].title, "another", "kept though not chosen");
    desk.write("runs/mlp.mnist.cpu.s0/model.safetensors", "other weights");
    desk.run(None).unwrap();
    assert_eq!(desk.calls(), 8);
}

#[test]
fn a_missing_model_is_named_with_its_remedy_before_anything_is_timed() {
    let desk = Desk::new();
    fs::remove_file(desk.path("runs/mlp.mnist.cpu.s0/model.safetensors")).unwrap();
    desk.write("network", "echo 'error: no such file' >&2; exit 1");
    let fault = desk.fault();
    assert!(fault.contains("mlp.mnist.cpu.s0/model.safetensors is missing"), "{fault}");
    assert!(
        fault.contains("cargo xtask reproduce --tier quick --only 'mlp.mnist.cpu.s0'"),
        "{fault}"
    );
    assert_eq!(desk.calls(), 1);
}

#[test]
fn without_the_data_set_everything_else_is_timed_and_kept_until_there_is_a_model() {
    let desk = Desk::new();
    let model = desk.path("runs/mlp.mnist.cpu.s0/model.safetensors");
    fs::remove_file(&model).unwrap();
    desk.write("network", "printf 'error: no MNIST\\n  set BNN_DATA\\n' >&2; exit 3");
    for _ in 0..2 {
        let (benches, faults) = desk.run(None).unwrap();
        assert_eq!(benches[0].timings.network, Network::NotRun("no MNIST set BNN_DATA".into()));
        assert!(faults.is_empty() && desk.calls() == 4);
    }
    fs::write(&model, "weights").unwrap();
    desk.run(None).unwrap();
    assert_eq!(desk.calls(), 8);
}

#[test]
fn a_gpu_is_named_to_the_binary_and_has_a_result_of_its_own() {
    let mut desk = Desk::new();
    desk.run(None).unwrap();
    let before = desk.calls();
    desk.plan.backend = "cuda".into();
    let (benches, faults) = desk.run(None).unwrap();
    assert!(faults.is_empty(), "{faults:?}");
    assert_eq!((benches[0].id().as_str(), desk.calls()), ("kernels.cuda", before + 3));
    assert_eq!(benches[0].timings.peaks, Peaks::default());
    let calls = fs::read_to_string(desk.path("calls")).unwrap();
    let on_gpu = |call: &&str| call.ends_with(" --backend cuda");
    assert_eq!(calls.lines().filter(on_gpu).count(), 3, "{calls}");
    for file in ["kernels.bench.json", "kernels.cuda.bench.json"] {
        assert!(desk.path(file).is_file(), "{file}");
    }
}

#[test]
fn without_a_driver_a_gpu_is_a_fault_that_says_what_to_do() {
    let mut desk = Desk::new();
    desk.plan.backend = "cuda".into();
    desk.script("#!/bin/sh\necho 'error: backend `cuda`: no driver;\n  install one' >&2\nexit 3\n");
    let fault = desk.fault();
    assert_eq!(fault, "kernels.cuda: backend `cuda`: no driver; install one");
}

#[test]
fn faults_of_the_binary_name_the_case() {
    let desk = Desk::new();
    desk.write("square-4096", "{\"case\":");
    assert!(desk.fault().contains("kernels: `bnn bench` on square/4096"), "{}", desk.fault());
    let other = fs::read_to_string(desk.path("dense-b1")).unwrap();
    desk.write("square-4096", &other);
    assert!(desk.fault().contains("there is no case `square/4096`"), "{}", desk.fault());
    desk.write("network", "echo 'error: model/mnist, int8: entry (0, 0) is 1, not 2' >&2; exit 1");
    let fault = desk.fault();
    assert!(fault.contains("the trained network: model/mnist, int8: entry (0, 0) is 1"), "{fault}");
}

#[test]
fn a_stop_ends_the_command() {
    let desk = Desk::new();
    desk.stop.store(true, Ordering::Relaxed);
    assert!(desk.run(None).unwrap_err().is::<Interrupted>());
    assert_eq!(desk.calls(), 0);
}
