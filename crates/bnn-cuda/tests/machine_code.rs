//! What the compiler makes of the kernels, for every generation of devices, on a machine without one.
//!
//! Skipped aloud without the tools that `cargo xtask cuda` fetches.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // in helpers too

use std::path::{Path, PathBuf};
use std::process::Command;

use bnn_cuda::machine_code::{self, Launch};
use bnn_testkit::skipped;

/// Registers of a processor, and the most of a thread.
const REGISTERS: (u32, u32) = (65_536, 255);

/// Threads of a warpgroup.
const GROUP: u32 = 128;

/// A compiled kernel.
struct Kernel<'a> {
    name: &'a str,
    /// Per thread.
    registers: u32,
    /// Bytes of static shared memory.
    shared: u32,
    /// Bytes of local memory: of the stack, and of registers that were written there and read again.
    local: [u32; 3],
}

#[test]
fn ampere() {
    check((8, 0), 163);
}

#[test]
fn ada() {
    check((8, 9), 99);
}

#[test]
fn hopper() {
    check((9, 0), 227);
}

#[test]
fn blackwell_in_data_centres() {
    check((10, 0), 227);
}

#[test]
fn blackwell() {
    check((12, 0), 99);
}

/// Compiles all files for a capability, and sees to what is made of them; blocks may have `most` KiB
/// of shared memory (CUDA C++ programming guide, compute capabilities).
fn check(capability: (i32, i32), most: u32) {
    let Some(toolkit) = toolkit() else { return };
    machine_code::load(&toolkit).unwrap();
    for file in machine_code::files().filter(|file| *file != "hopper" || capability == (9, 0)) {
        let place = format!("{file}.cu for {capability:?}");
        let compiled = machine_code::compile(file, capability).unwrap();
        assert_eq!(complaint(&compiled.log), None, "{place}");
        let kernels = kernels(&compiled.log);
        assert!(!kernels.is_empty(), "{place}: {}", compiled.log);
        // Where calls emulate the products of tensor.cu, no device is given them.
        let taken = file != "tensor" || bits(capability);
        for kernel in kernels.iter().filter(|_| taken) {
            assert_eq!(kernel.local, [0; 3], "{place}: {} spills registers", kernel.name);
        }
        for launch in machine_code::launches().filter(|launch| launch.file == file) {
            let kernel = kernels.iter().find(|kernel| kernel.name == launch.name);
            fits(&place, kernel.unwrap(), &launch, most);
        }
        match file {
            "tensor" => tensor(&place, capability, &disassemble(&toolkit, &compiled.image)),
            "int8" => int8(&place, &disassemble(&toolkit, &compiled.image)),
            "hopper" => wgmma(&place, &kernels, &disassemble(&toolkit, &compiled.image)),
            _ => {}
        }
    }
}

/// Whether devices of this capability multiply bits.
fn bits(capability: (i32, i32)) -> bool {
    capability < (10, 0)
}

/// What a compiler's log says besides sizes: warnings, and what has a number though it is called
/// information, such as that asynchronous products wait for each other (C7510 and above).
fn complaint(log: &str) -> Option<&str> {
    log.lines().find(|line| line.contains("warning") || line.contains(": (C"))
}

#[test]
fn remarks_with_a_number_are_complaints() {
    let size = "ptxas info    : Used 168 registers, used 1 barriers, 1024 bytes smem";
    for said in [
        "norm.cu(14): warning #177-D: variable \"ALL\" was declared but never referenced",
        "ptxas info    : (C7511) Potential Performance Loss: wgmma.mma_async instructions are \
         serialized due to insufficient register resources for the wgmma pipeline",
    ] {
        assert_eq!(complaint(&format!("{size}\n{said}\n{size}")), Some(said));
    }
    assert_eq!(complaint(size), None);
}

/// Where the tools are.
fn toolkit() -> Option<PathBuf> {
    let folder = std::env::var_os("BNN_CUDA_TOOLKIT").map(PathBuf::from);
    let folder = folder.filter(|folder| folder.join("build-version").exists());
    if folder.is_none() {
        skipped("nvrtc", "no compiler for GPUs is here; fetch it with `cargo xtask cuda`");
    }
    folder
}

/// A launch can have what it asks for.
fn fits(place: &str, kernel: &Kernel<'_>, launch: &Launch, most: u32) {
    let Kernel { name, registers, shared, .. } = *kernel;
    let (all, one) = REGISTERS;
    let block = registers.next_multiple_of(8) * launch.threads;
    assert!(registers <= one && block <= all, "{place}: {name} takes {registers} registers");
    let bytes = shared + launch.shared;
    assert!(bytes <= most << 10, "{place}: {name} takes {bytes} bytes of shared memory");
}

/// Native instructions up to Hopper, and no function of the compiler's called; none
/// on Blackwell, where `Arch` must say so.
fn tensor(place: &str, capability: (i32, i32), text: &str) {
    let native = bits(capability);
    let mut calls = text.lines().filter(|line| line.contains("CALL") && line.contains("$__"));
    let called = calls.next();
    assert_eq!(called.is_none(), native, "{place}: what instructions are emulated by: {called:?}");
    for launch in machine_code::launches().filter(|launch| launch.file == "tensor") {
        let (name, code) = (launch.name, opcodes(text, launch.name));
        let products: Vec<_> = code.iter().filter(|code| code.contains("MMA")).collect();
        let alike = products.iter().all(|code| **code == "BMMA.168256.AND.POPC");
        assert_eq!(!products.is_empty() && alike, native, "{place}: {name} has {products:?}");
        if native {
            no_local_memory(place, name, &code);
        }
    }
}

/// Native products of bytes on every device, and no function of the compiler's called for them.
fn int8(place: &str, text: &str) {
    let called = text.lines().find(|line| line.contains("CALL") && line.contains("$__"));
    assert_eq!(called, None, "{place}: a function is called");
    for launch in machine_code::launches().filter(|launch| launch.file == "int8") {
        let (name, code) = (launch.name, opcodes(text, launch.name));
        let products: Vec<_> = code.iter().filter(|code| code.contains("MMA")).collect();
        let alike = products.iter().all(|code| **code == "IMMA.16832.U8.U8");
        assert!(!products.is_empty() && alike, "{place}: {name} has {products:?}");
        assert!(code.contains(&"LDSM.16.M88.4"), "{place}: {name} loads no matrices");
        no_local_memory(place, name, &code);
    }
}

/// Asynchronous products as wide as the tile, fed by the copy engine, with registers moved from the
/// warpgroup that copies to the two that multiply.
fn wgmma(place: &str, kernels: &[Kernel<'_>], text: &str) {
    let products = [
        ("hopper_256x192", "BGMMA.64x192x256.AND.POPC"),
        ("hopper_128x256", "BGMMA.64x256x256.AND.POPC"),
        ("hopper_128x128", "BGMMA.64x128x256.AND.POPC"),
        ("hopper_planes", "BGMMA.64x128x256.AND.POPC"),
        ("hopper_turns_128x192", "BGMMA.64x192x256.AND.POPC"),
        ("hopper_bytes_turns_128x192", "IGMMA.64x192x32.U8.U8"),
        ("hopper_windows_128x256", "BGMMA.64x256x256.AND.POPC"),
        ("hopper_windows_128x128", "BGMMA.64x128x256.AND.POPC"),
        ("hopper_bytes_256x192", "IGMMA.64x192x32.U8.U8"),
        ("hopper_bytes_128x256", "IGMMA.64x256x32.U8.U8"),
        ("hopper_bytes_128x128", "IGMMA.64x128x32.U8.U8"),
    ];
    assert_eq!(kernels.len(), products.len(), "{place}: a kernel is not checked");
    for (name, want) in products {
        let code = opcodes(text, name);
        let products: Vec<_> = code.iter().filter(|code| code.contains("MMA")).collect();
        let alike = products.iter().all(|code| **code == want);
        assert!(!products.is_empty() && alike, "{place}: {name} has {products:?}, not {want}");
        assert!(code.contains(&"UTMALDG.2D"), "{place}: {name} does not use the copy engine");
        // What threads copied is shown to wgmma, beside the barriers, which are to the copy engine.
        let shown = code.iter().filter(|code| code.starts_with("FENCE.VIEW.ASYNC")).count() > 1;
        let copies = code.iter().any(|code| code.starts_with("LDGSTS"));
        assert_eq!((copies, shown), (name.contains("windows"), name.contains("windows")), "{name}");
        no_local_memory(place, name, &code);
        let kernel = kernels.iter().find(|kernel| kernel.name == name).unwrap();
        let section = section(text, name);
        let (less, more) = (moved(section, "DEALLOC"), moved(section, "TRY_ALLOC"));
        // More than the block was given would never come.
        assert!(
            less + 2 * more <= 3 * kernel.registers,
            "{place}: {name} moves {less} and {more} registers, of {}",
            kernel.registers
        );
        assert_eq!(machine_code::launches().find(|l| l.name == name).unwrap().threads, 3 * GROUP);
    }
}

fn no_local_memory(place: &str, name: &str, code: &[&str]) {
    let local = code.iter().find(|code| code.starts_with("LDL") || code.starts_with("STL"));
    assert!(local.is_none(), "{place}: {name} has {local:?}");
}

/// How many registers a warpgroup keeps or takes, by the number at the end of the instruction.
fn moved(section: &str, how: &str) -> u32 {
    let mut lines = section.lines().filter(|line| line.contains(&format!("USETMAXREG.{how}")));
    let line = lines.next().unwrap_or_else(|| panic!("no USETMAXREG.{how}"));
    let number = line.split("0x").nth(1).unwrap().trim_end_matches([' ', ';']);
    u32::from_str_radix(number, 16).unwrap()
}

/// The instructions of a kernel, without what they are applied to.
fn opcodes<'a>(text: &'a str, kernel: &str) -> Vec<&'a str> {
    let lines = section(text, kernel).lines().map(str::trim);
    let instructions = lines.filter_map(|line| line.strip_prefix("/*")?.split_once("*/"));
    let opcode = |(_, line): (&str, &'a str)| {
        line.split_whitespace().find(|word| !word.starts_with(['@', '{']))
    };
    let code: Vec<_> = instructions.filter_map(opcode).collect();
    assert!(code.contains(&"EXIT"), "{kernel} was not disassembled");
    code
}

/// The code of a kernel in the text that nvdisasm writes.
fn section<'a>(text: &'a str, kernel: &str) -> &'a str {
    let begin = format!(".section\t.text.{kernel},");
    let (_, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("no {begin}"));
    rest.split(".section\t").next().unwrap()
}

fn disassemble(toolkit: &Path, image: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kernels.cubin");
    std::fs::write(&path, image).unwrap();
    let run = Command::new(toolkit.join("bin/nvdisasm")).arg(&path).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap()
}

/// The kernels that the compiler's log tells of.
fn kernels(log: &str) -> Vec<Kernel<'_>> {
    let parts = log.split("Compiling entry function '").skip(1);
    parts
        .map(|part| Kernel {
            name: part.split('\'').next().unwrap(),
            registers: before(part, " registers").unwrap(),
            shared: before(part, " bytes smem").unwrap_or(0),
            local: [" bytes stack frame", " bytes spill stores", " bytes spill loads"]
                .map(|what| before(part, what).unwrap()),
        })
        .collect()
}

/// The number in front of some words.
fn before(text: &str, words: &str) -> Option<u32> {
    text.split_once(words)?.0.rsplit(' ').next()?.parse().ok()
}
